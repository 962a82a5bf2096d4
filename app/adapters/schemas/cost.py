"""What judging a content by a schema costs, known before it is judged.

References and alternatives make it easy to write a schema of a few lines that looks at one value 2^60 times, or does so
only for a content made for it. So a schema is followed along every way into a content (as one makes a deterministic
automaton of another): a `Look` is all of its parts that look at one value together, and it leads to the `Look` at each
value within that one. A schema by which one value can be looked at too often is refused when it is applied. For a
content the bill is then exact, save that judging may stop early, and nothing is judged whose bill is too high.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from app.adapters.schemas.subschemas import PER_PATTERN_CHARACTER, Subschema, Unusable
from app.core.domain.body import DEEPEST_JSON
from app.core.domain.document import shown

MOST_STEPS = 10_000
"""By one value. A schema of 300 event types, each of 20 fields, stays below."""
LONGEST_CHAIN = 100
"""Of parts at one value, each reached from the one before."""
MOST_INVOLVED = 500_000
"""How much may be gone through to find the `Look`s of one schema: half a second."""
PER_BIG_INTEGER = 5_000
"""Steps to compare or divide an integer beyond 64 bits. `uniqueItems` compares each with each: 200 take 25 ms."""

CONTAINERS = (dict, list)
Parts = dict[Subschema, int]
"""Which parts of a schema look at a value, and how often each."""


@dataclass(eq=False, slots=True)
class Look:
    """Everything in a schema that looks at one value, and where it goes from there."""

    steps: int
    per_character: int
    exact: int
    per_key: int
    per_key_character: int
    below: dict[str | int, "Look"] = field(default_factory=dict)
    other_keys: "Look | None" = None
    other_items: "Look | None" = None

    @property
    def heaviest(self) -> int:
        """Give the most that a byte of JSON costs: each value, key and character is one at least."""
        return max(self.steps, self.per_character, self.per_key, self.per_key_character)


@dataclass(frozen=True, slots=True)
class Costs:
    """What judging by one schema costs."""

    top: Look
    """At a whole content."""
    heaviest: int
    """No byte of the JSON of a content costs more, save in big integers."""

    def of(self, content: object, most: int) -> int:
        """Add up the steps that a content takes; above `most` they are not added to the end."""
        total = self.top.steps
        ahead = [(self.top, content)]
        while ahead and total <= most:
            look, value = ahead.pop()
            if not isinstance(value, CONTAINERS):
                total += _more_for(look, value)
            elif len(value) > most:
                total += len(value)
            else:
                if look.per_key and isinstance(value, dict):
                    total += look.per_key * len(value) + look.per_key_character * sum(map(len, value))
                for under, item in _under(look, value):
                    if isinstance(item, CONTAINERS):
                        ahead.append((under, item))
                        total += under.steps
                    else:
                        total += under.steps + _more_for(under, item)
        return total


def costs(root: Subschema) -> Costs:
    """Follow a schema into every content. Raises `Unusable` when a value could be looked at too often."""
    return _Follower().follow(root)


def _under(look: Look, value: dict[str, object] | list[object]) -> Iterator[tuple[Look, object]]:
    """Give what is looked at within a value, each with what looks at it."""
    below = look.below
    if isinstance(value, dict):
        if look.other_keys is not None:
            return ((below.get(key, look.other_keys), item) for key, item in value.items())
        return ((below[key], item) for key, item in value.items() if key in below)
    if look.other_items is not None:
        return ((below.get(index, look.other_items), item) for index, item in enumerate(value))
    return ((below[index], item) for index, item in enumerate(value) if index in below)


def _more_for(look: Look, leaf: object) -> int:
    """Give what a text or a big integer costs more than other values."""
    if isinstance(leaf, str):
        return look.per_character * len(leaf)
    if isinstance(leaf, int) and (leaf > 2**64 - 1 or leaf < -(2**63)):
        return look.steps * leaf.bit_length() + look.exact * PER_BIG_INTEGER
    return 0


class _Follower:
    """Finds every `Look` of one schema, nearest to the top first."""

    def __init__(self) -> None:
        self._known: dict[frozenset[tuple[Subschema, int]], Look] = {}
        self._ahead: deque[tuple[Look, Parts, str, int]] = deque()
        self._spent = 0

    def follow(self, root: Subschema) -> Costs:
        top = self._look({root: 1}, "$", 0)
        while self._ahead:
            look, parts, place, depth = self._ahead.popleft()
            if depth < DEEPEST_JSON:  # no content goes deeper
                self._go_on(look, parts, place, depth + 1)
        return Costs(top, max(look.heaviest for look in self._known.values()))

    def _go_on(self, look: Look, parts: Parts, place: str, depth: int) -> None:
        at_keys: Parts = {}
        at_items: Parts = {}
        named: dict[str | int, list[tuple[Subschema, int]]] = {}
        for part, times in parts.items():
            through = times * part.times
            _count(at_keys, chain(part.each_key, part.other_keys), through)
            _count(at_items, chain(part.each_item, part.other_items), through)
            for key in part.below:
                named.setdefault(key, []).append((part, through))
        if at_keys:
            look.other_keys = self._look(at_keys, f"{place}.*", depth)
        if at_items:
            look.other_items = self._look(at_items, f"{place}[]", depth)
        for key, holders in named.items():
            of_object = isinstance(key, str)
            at_this = dict(at_keys if of_object else at_items)
            for part, through in holders:
                _count(at_this, (part.below[key],), through)
                _count(at_this, part.other_keys if of_object else part.other_items, -through)
            look.below[key] = self._look(at_this, f"{place}.{key}" if of_object else f"{place}[]", depth)

    def _look(self, start: Parts, place: str, depth: int) -> Look:
        self._spend(1 + len(start))
        key = frozenset(start.items())
        look = self._known.get(key)
        if look is None:
            parts = self._together(start, place)
            names: Parts = {}
            for part, times in parts.items():
                _count(names, part.names, times * part.times)
            look = self._known[key] = _at(parts, self._together(names, place))
            self._ahead.append((look, parts, place, depth))
        return look

    def _spend(self, steps: int) -> None:
        self._spent += steps
        if self._spent > MOST_INVOLVED:
            raise Unusable("has too many parts that can meet at one value: leave some out, or give them different keys")

    def _together(self, start: Parts, place: str) -> Parts:
        """Add to some parts all those that look at the same value because of them."""
        met: Parts = {}
        front = start
        for _ in range(LONGEST_CHAIN):
            if not front:
                return met
            following: Parts = {}
            for part, times in front.items():
                _count(met, (part,), times)
                _count(following, part.beside, times * part.times)
            front = following
            self._spend(len(met))
            if _steps(met) > MOST_STEPS:
                raise Unusable(
                    f"could look at one value ({shown(place)}) in more than {MOST_STEPS:,} ways: "
                    "alternatives or references in it lead to the same part again and again"
                )
        raise Unusable(
            f"refers in a circle at one value ({shown(place)}), or over more than {LONGEST_CHAIN} references"
        )


def _at(parts: Parts, names: Parts) -> Look:
    """Make the look of some parts at a value, and of others at each of its keys."""
    patterns = sum(times * part.key_patterns for part, times in parts.items())
    return Look(
        steps=_steps(parts),
        per_character=_per_character(parts),
        exact=sum(times * part.exact for part, times in parts.items()),
        per_key=_steps(names) + patterns,
        per_key_character=_per_character(names) + patterns * PER_PATTERN_CHARACTER,
    )


def _steps(parts: Parts) -> int:
    return sum(times * part.steps for part, times in parts.items())


def _per_character(parts: Parts) -> int:
    return sum(times * part.per_character for part, times in parts.items())


def _count(into: Parts, parts: Iterable[Subschema], times: int) -> None:
    for part in parts:
        into[part] = into.get(part, 0) + times
        if not into[part]:
            del into[part]
