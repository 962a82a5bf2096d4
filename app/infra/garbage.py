"""Collecting garbage in a process that is busy for long."""

import gc

COLLECT_AFTER_OBJECTS = 20_000
"""Python's own 700 are less than sixty requests in flight have; memory pays with a few megabytes."""


def collect_less() -> None:
    """Call it when everything is there that lives on: the collector need not look at it again and again.

    Requests and jobs leave next to no cycles, and so many objects at once that it would look through them all the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
