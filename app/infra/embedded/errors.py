"""What the embedded servers complain about, always in one line that a person can act on."""

import re

_SERIOUS = re.compile(r"\b(?:PANIC|FATAL|ERROR|error): +(.*)")
_STAMP = re.compile(r"^(?:initdb: |\d+:[A-Z] )?(?:\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] |.{0,30}[*#.-] )?")


class EmbeddedError(Exception):
    """One clear line: what happened, where, what to do."""


def last_words(output: str) -> str:
    """The line of a server's output that says most about its end: the last serious one, else the last one.

    Time stamps and process numbers are left out. Without any output it says so.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if serious := _SERIOUS.search(line):
            return serious.group(1)
    return _STAMP.sub("", lines[-1]) if lines else "it said nothing"


def could_not_use(place: object, problem: OSError) -> EmbeddedError:
    """The error of an operating-system call on the data folder, in one line."""
    reason = (problem.strerror or str(problem)).lower()
    where = problem.filename if isinstance(problem.filename, str) else place
    return EmbeddedError(
        f"cannot use {place} as the data folder: {reason} ({where}); see to that, or name another folder"
    )
