"""A JSON Schema taken apart: which parts of it look at which parts of a content, and how hard.

The library that judges has no limit of its own, so what it may cost is found out beforehand. For that only the keywords
count that lead from one part to another, and only roughly what the others do. Whatever is not a proper schema is passed
over here: the library, which reads it next, refuses it.
"""

import re
from collections.abc import Mapping, ValuesView
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from app.core.domain.document import shown

PER_PATTERN_CHARACTER = 10
"""Steps of a pattern for a character. Nearly all take a few ns; 0.3 µs were measured for `[ab]*a[ab]{30}c` and a text
made for it, 9 µs for the largest such pattern that is taken, so that the 100,000 characters of a content take 0.9 s."""
PER_DIVISION = 40
"""Steps of `multipleOf`, which calculates with fractions of any length."""
PER_COMPARED_KEY = 10
"""Steps for each key of an object in `const` or `enum`."""
UNEVALUATED_TIMES = 3
"""With `unevaluated…` the library goes through what stands beside it again; measured were 2.5 times a level."""

_DRAFT = re.compile(r"https?://json-schema\.org/(?:draft-0[467]|draft/(?:2019-09|2020-12))/schema#?")
_COMPARED_WITH = ("const", "enum", "required", "type", "dependentRequired", "dependencies")
_OUTSIDE = ("$dynamicRef", "$recursiveRef")
_AT_THE_SAME_VALUE = ("not", "if", "then", "else", "allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies")
_AT_OTHER_KEYS = ("additionalProperties", "unevaluatedProperties")
_AT_EACH_ITEM = ("contains", "unevaluatedItems")
_PER_CHARACTER = {
    "pattern": PER_PATTERN_CHARACTER,
    "format": 2,
    "contentEncoding": 2,
    "contentMediaType": 2,
    "minLength": 1,
    "maxLength": 1,
}


class Unusable(Exception):
    """A schema by which payloads cannot be judged here; the text says where in it and why."""


@dataclass(eq=False, slots=True)
class Subschema:
    """One part of a schema, and what it does with a value that it looks at."""

    steps: int = 1
    """What it costs, in units of some 20 ns, without what follows from its other parts."""
    per_character: int = 0
    """What it costs more for each character of a text."""
    exact: int = 0
    """How often it calculates with, or compares, numbers: slow with integers beyond 64 bits."""
    times: int = 1
    """How often it goes through the parts that follow."""
    key_patterns: int = 0
    """How many patterns it holds each key of an object against."""
    beside: list["Subschema"] = field(default_factory=list)
    """The parts that look at the same value."""
    names: list["Subschema"] = field(default_factory=list)
    """The parts that look at each key itself."""
    below: dict[str | int, "Subschema"] = field(default_factory=dict)
    """The parts that look at what stands under one key or index."""
    each_key: list["Subschema"] = field(default_factory=list)
    other_keys: list["Subschema"] = field(default_factory=list)
    """Those for keys that are not in `below`."""
    each_item: list["Subschema"] = field(default_factory=list)
    other_items: list["Subschema"] = field(default_factory=list)


ALL_OF_IT = Subschema(exact=1)
"""Looks at a whole value, down to its leaves, as `uniqueItems` does to compare."""
ALL_OF_IT.each_key.append(ALL_OF_IT)
ALL_OF_IT.each_item.append(ALL_OF_IT)


class SchemaReader:
    """Takes one schema apart. Raises `Unusable` where a part of it is outside, or cannot be found."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._read: dict[int, Subschema] = {}
        self._to_read: list[tuple[Mapping[str, Any], Subschema]] = []
        self.keys: set[str] = set()
        """The keys of payloads that the schema names."""
        self.has_alternatives = False

    def root(self) -> Subschema:
        """Read every part that the top leads to."""
        draft = self._document.get("$schema", "")
        if draft != "" and not (isinstance(draft, str) and _DRAFT.fullmatch(draft)):
            raise Unusable("$.$schema: must name draft 4, 6, 7, 2019-09 or 2020-12 of json-schema.org")
        self._refuse_inner_documents("id" if "draft-04" in draft else "$id")
        root = self._part(self._document)
        while self._to_read:
            self._fill(*self._to_read.pop())
        return root

    def _refuse_inner_documents(self, id_keyword: str) -> None:
        """References within a part that has an id of its own would lead to somewhere else than they do here."""
        inside: list[Any] = list(self._document.values())
        while inside:
            value = inside.pop()
            if isinstance(value, dict):
                if isinstance(value.get(id_keyword), str):
                    raise Unusable(f"holds another schema with an {id_keyword} of its own: only the top may have one")
                inside.extend(value.values())
            elif isinstance(value, list):
                inside.extend(value)

    def _part(self, value: object) -> Subschema:
        known = self._read.get(id(value))
        if known is None:
            known = self._read[id(value)] = Subschema()
            if isinstance(value, dict):
                self._to_read.append((value, known))
        return known

    def _parts(self, value: object) -> list[Subschema]:
        """Read the part that a keyword's value is, or the parts that are in it."""
        return [self._part(item) for item in value] if isinstance(value, list | ValuesView) else [self._part(value)]

    def _fill(self, raw: Mapping[str, Any], part: Subschema) -> None:
        for keyword, value in raw.items():
            part.steps += 1
            part.per_character += _PER_CHARACTER.get(keyword, 0)
            if keyword in _COMPARED_WITH:
                part.steps += _size(value)
            if keyword in _OUTSIDE:
                raise Unusable(f"{keyword} is not taken: refer to a part by $ref: '#/…'")
            if keyword == "$ref":
                part.beside.append(self._referred(value))
            elif keyword == "multipleOf":
                part.exact += 1
                part.steps += PER_DIVISION
            elif keyword == "uniqueItems" and value is True:
                part.each_item.append(ALL_OF_IT)
            else:
                self._lead_on(keyword, value, part)
        if "unevaluatedProperties" in raw or "unevaluatedItems" in raw:
            part.times = UNEVALUATED_TIMES

    def _lead_on(self, keyword: str, value: Any, part: Subschema) -> None:
        if keyword in _AT_THE_SAME_VALUE:
            keyed = isinstance(value, dict) and keyword.startswith("dependen")
            part.beside += self._parts(value.values() if keyed else value)
            self.has_alternatives = self.has_alternatives or keyword in {"anyOf", "oneOf"}
        elif keyword == "properties" and isinstance(value, dict):
            part.below.update(zip(value, self._parts(value.values()), strict=True))
            self.keys.update(value)
        elif keyword == "patternProperties" and isinstance(value, dict):
            part.each_key += self._parts(value.values())
            part.key_patterns += len(value)
        elif keyword in _AT_OTHER_KEYS:
            part.other_keys.append(self._part(value))
        elif keyword == "propertyNames":
            part.names.append(self._part(value))
        elif keyword in _AT_EACH_ITEM:
            part.each_item.append(self._part(value))
        elif keyword == "prefixItems" or (keyword == "items" and isinstance(value, list)):
            part.below.update(enumerate(self._parts(value)))
        elif keyword in {"items", "additionalItems"}:
            part.other_items.append(self._part(value))

    def _referred(self, reference: object) -> Subschema:
        whole, hash_, pointer = reference.partition("#") if isinstance(reference, str) else ("", "", "?")
        own = str(self._document.get("$id", self._document.get("id", ""))).rstrip("#")
        if not hash_ or whole not in {"", own} or (pointer and not pointer.startswith("/")):
            raise Unusable(f'$ref "{shown(str(reference))}" leads out of the schema: only #/… is followed')
        found: Any = self._document
        for step in unquote(pointer).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise Unusable(f'$ref "{shown(str(reference))}" leads to nothing')
        return self._part(found)


def _size(value: object) -> int:
    """Count the values within a value, by what comparing with them costs."""
    if isinstance(value, dict):
        return sum(PER_COMPARED_KEY + _size(item) for item in value.values())
    return sum(1 + _size(item) for item in value) if isinstance(value, list) else 0
