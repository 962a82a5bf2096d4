"""A document that a person wrote: plain values that know their line, read part by part, all faults at once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from app.core.domain.delivery_key import printable
from app.core.domain.errors import Fault, Invalid

DocumentPath = tuple[str | int, ...]
"""The keys and indices that lead from the top to a place."""

LONGEST_SHOWN = 60
MOST_NAMED = 40


@dataclass(frozen=True, slots=True)
class Document:
    """Dicts, lists and scalars as a reader of YAML or JSON gives them."""

    values: object
    lines: Mapping[DocumentPath, int] = field(default_factory=dict)
    """Where each place stands, counted from 1; empty when nobody knows."""

    def line_of(self, path: DocumentPath) -> int | None:
        """Give the line of a place, or of the nearest place around it."""
        for length in range(len(path), -1, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return line
        return None

    def where(self, path: DocumentPath) -> str:
        """Name a place for a person: `line 4, sources[0].verify.header`."""
        line = self.line_of(path)
        names = "".join(f"[{step}]" if isinstance(step, int) else f".{shown(step)}" for step in path).lstrip(".")
        return ", ".join(text for text in (f"line {line}" if line else "", names) if text)


class Findings:
    """What is wrong with one document, gathered while it is read."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: list[tuple[int, Fault]] = []

    def add(self, path: DocumentPath, message: str) -> None:
        """Note one fault."""
        self._found.append((self.document.line_of(path) or 0, Fault(self.document.where(path), message)))

    def raise_if_any(self) -> None:
        """Raise `Invalid` with everything found, in the order of the document's lines."""
        if self._found:
            raise Invalid([fault for _, fault in sorted(self._found, key=lambda found: found[0])])


@dataclass(frozen=True, slots=True)
class Part:
    """One place of a document being read: what stands there, and where to complain about it.

    Each reader notes a fault and gives None (or nothing) when it does not find what it expects.
    """

    value: object
    path: DocumentPath
    findings: Findings

    def fault(self, message: str, *steps: str | int) -> None:
        """Complain about this place, or about one below it."""
        self.findings.add((*self.path, *steps), message)

    def mapping(self, known: Sequence[str], *, later: Mapping[str, str] | None = None) -> "dict[str, Part] | None":
        """Read the keys of a mapping. `later`: keys that a later version will know, and what to say until then."""
        if not isinstance(self.value, Mapping):
            self.fault(f"must be a mapping with the keys {', '.join(known)}; this is {kind(self.value)}")
            return None
        parts = {}
        for key, value in self.value.items():
            if later and key in later:
                self.fault(later[key], key)
            elif key not in known:
                self.fault(f"is not a key here; {nearest(str(key), known)}", str(key))
            else:
                parts[key] = Part(value, (*self.path, key), self.findings)
        return parts

    def items(self, spelling: str) -> "Iterator[Part]":
        """Read the items of a list; `spelling` shows how one is written."""
        if not isinstance(self.value, list):
            self.fault(f"must be a list: {spelling}; this is {kind(self.value)}")
            return
        for index, value in enumerate(self.value):
            yield Part(value, (*self.path, index), self.findings)

    def text(self, spelling: str) -> str | None:
        """Read a text that is not empty."""
        if isinstance(self.value, str) and self.value:
            return self.value
        advice = ", which needs quotes to be a text" if isinstance(self.value, bool | int | float) else ""
        self.fault(f"must be a text: {spelling}; this is {kind(self.value)}{advice}")
        return None


def kind(value: object) -> str:
    """Name what stands in a place, without quoting it: it may be a secret in the wrong place."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    if value is None:
        return "empty"
    kinds = {list: "a list", dict: "a mapping", int: "a number", float: "a number"}
    return kinds.get(type(value), "something else")


def shown(text: str) -> str:
    """Quote what a person wrote back to them: one line, nothing that a terminal would obey, not too long."""
    line = printable(text.encode("utf-8", "surrogatepass"))
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…"


def nearest(word: str, known: Collection[str]) -> str:
    """Say which of those that are known was perhaps meant, or else which there are."""
    close = get_close_matches(word.lower(), known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    names = [*known][:MOST_NAMED]
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"known are {', '.join(names)}{more}" if names else "there are none"
