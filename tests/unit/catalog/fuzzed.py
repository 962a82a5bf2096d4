"""How many examples a property is tried with: few in every run, `FUZZ_EXAMPLES` of them in `make fuzz`."""

import os

from hypothesis import settings


def fuzzed(usually: int) -> settings:
    """So many examples, and no deadline for one of them: others use this machine too."""
    return settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", usually)), deadline=None)
