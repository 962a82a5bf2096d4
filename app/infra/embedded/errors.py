"""What the embedded servers complain about, always in one line that a person can act on."""

import re

# A complaint of Postgres or initdb, and the hint that may follow it.
_COMPLAINT = re.compile(r"\b(?:PANIC|FATAL|ERROR|error): +(.*)(?:\n.*HINT: +(.*))?")
_DISK_FULL = re.compile("No space left on device|Check free disk space")
# How Redis begins a line: process number and role, date and time, weight.
_STAMP = re.compile(r"^\d+:\w \d\d \w+ \d{4} [\d:.]+ [*#.-] ")


class EmbeddedError(Exception):
    """One clear line: what happened, where, what to do."""


def last_words(output: str) -> str:
    """What a server's output says about its end: the last complaint with its hint, else the last line.

    On a full disk it is the first complaint about that: Postgres stumbles on, and ends with one that says
    nothing of the disk. Time stamps and process numbers are left out. Without any output it says so.
    """
    complaints = [f"{text} ({hint})" if hint else text for text, hint in _COMPLAINT.findall(output)]
    if full := [complaint for complaint in complaints if _DISK_FULL.search(complaint)]:
        return full[0]
    if complaints:
        return complaints[-1]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return _STAMP.sub("", lines[-1]) if lines else "it said nothing"


def could_not_use(place: object, problem: OSError) -> EmbeddedError:
    """The error of an operating-system call on the data folder, in one line."""
    reason = (problem.strerror or str(problem)).lower()
    where = problem.filename if isinstance(problem.filename, str) else place
    return EmbeddedError(
        f"cannot use {place} as the data folder: {reason} ({where}); see to that, or name another folder"
    )
