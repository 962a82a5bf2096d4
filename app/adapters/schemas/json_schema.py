"""Payload schemas in JSON Schema, drafts 4 to 2020-12 by `$schema`, judged by a library in Rust in microseconds."""

import json
import re
from dataclasses import dataclass
from threading import Lock

import orjson
from jsonschema_rs import RegexOptions, ValidationError, ValidationErrorKind, Validator, validator_for

from app.adapters.schemas.cost import Costs, costs
from app.adapters.schemas.mismatch import told
from app.adapters.schemas.subschemas import SchemaReader, Unusable
from app.core.domain.document import shown
from app.core.ports.payload_schemas import PayloadSchemas

LARGEST_CHARACTERS = 100_000
MOST_CHARACTERS_AT_HAND = 3_000_000
"""Of compiled schemas together, which take some 30 bytes a character: a thousand schemas of a hundred lines."""
MOST_STEPS = 1_000_000
"""For one content. A thousand orders of 1 KB each take a quarter of it; a step takes some 20 ns, and less as a rule."""
MOST_STEPS_TO_EXPLAIN = 20_000
"""Alternatives that do not fit are explained by every fault of each of them, at some 10 µs a fault."""
PATTERNS = RegexOptions(size_limit=128 * 1024, dfa_size_limit=64 * 1024)
"""Matched in a time that grows with the text alone, and with the compiled pattern, which is small."""


class JsonSchemas(PayloadSchemas):
    """Compiles each schema once and keeps the latest at hand.

    `format` is asserted in every draft. Remote references are never fetched, since only `#/…` is followed at all.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, _Compiled | str] = {}
        """The latest asked for is the last."""
        self._characters = 0

    def fault(self, schema: str, content: object) -> str | None:
        """Judge by a schema that may come from another version, and so may be none that this one takes."""
        compiled = self._at_hand(schema)
        if isinstance(compiled, str):
            return f"the schema cannot be used here: {compiled}"
        return compiled.fault(content)

    def schema_fault(self, schema: str) -> str | None:
        """Compile it, and find out what it may cost."""
        compiled = self._at_hand(schema)
        return compiled if isinstance(compiled, str) else None

    def _at_hand(self, schema: str) -> "_Compiled | str":
        with self._lock:
            if (known := self._kept.pop(schema, None)) is not None:
                self._kept[schema] = known
                return known
        compiled = _compiled_or_fault(schema)  # by two threads at once perhaps, which harms nobody
        with self._lock:
            if self._kept.pop(schema, None) is None:
                self._characters += len(schema)
            self._kept[schema] = compiled
            while self._characters > MOST_CHARACTERS_AT_HAND:
                oldest = next(iter(self._kept))
                del self._kept[oldest]
                self._characters -= len(oldest)
        return compiled


@dataclass(frozen=True, slots=True)
class _Compiled:
    validator: Validator
    costs: Costs
    keys: frozenset[str]
    has_alternatives: bool

    def fault(self, content: object) -> str | None:
        try:
            if self._is_too_much(content):
                return f"$: cannot be judged: by this schema it takes more than {MOST_STEPS:,} steps"
            if self.validator.is_valid(content):
                return None
            if self.has_alternatives and self.costs.of(content, MOST_STEPS_TO_EXPLAIN) > MOST_STEPS_TO_EXPLAIN:
                return "$: does not fit, and is too large to say where"
            return self._explained(content)
        except UnicodeEncodeError:
            return self.fault(_without_half_characters(content))

    def _is_too_much(self, content: object) -> bool:
        try:
            # Nearly every content is so small that it need not be gone through.
            if len(orjson.dumps(content)) * self.costs.heaviest <= MOST_STEPS:
                return False
        except TypeError:  # it holds big integers, or half of a character
            pass
        return self.costs.of(content, MOST_STEPS) > MOST_STEPS

    def _explained(self, content: object) -> str:
        try:
            self.validator.validate(content)
        except ValidationError as error:
            return told(error, content, self.keys.__contains__)
        return "$: does not fit"


def _compiled_or_fault(schema: str) -> _Compiled | str:
    try:
        return _compiled(schema)
    except Unusable as unusable:
        return str(unusable)


def _compiled(schema: str) -> _Compiled:
    if len(schema) > LARGEST_CHARACTERS:
        raise Unusable(f"is longer than {LARGEST_CHARACTERS:,} characters")
    try:
        document = json.loads(schema)
    except (ValueError, RecursionError):
        raise Unusable("is not JSON that can be read") from None
    if not isinstance(document, dict):
        raise Unusable("must be a mapping, as in {type: object}")
    reader = SchemaReader(document)
    priced = costs(reader.root())
    try:
        # The text, not what was parsed of it: so decimal fractions stay exact.
        validator = validator_for(schema, validate_formats=True, pattern_options=PATTERNS, offline=True, mask="…")
    except ValidationError as error:
        raise Unusable(_said(error, document)) from None
    except ValueError as error:
        raise Unusable(f"is not JSON that can be read: {shown(str(error))}") from None
    return _Compiled(validator, priced, frozenset(reader.keys), reader.has_alternatives)


def _said(error: ValidationError, document: object) -> str:
    if isinstance(error.kind, ValidationErrorKind.Referencing):
        return f"refers to what cannot be found: {shown(str(error.kind.error))}"
    text = told(error, document, lambda _: True)
    if isinstance(error.kind, ValidationErrorKind.Format) and error.kind.format == "regex":
        place = text.partition(": ")[0]
        return f"{place}: is no pattern, or one that could take long: (?=…), \\1 and long repetitions are not taken"
    return text


def _without_half_characters(content: object) -> object:
    """Replace halves of characters: JSON may escape one alone, but a text in Rust cannot hold it."""
    text = json.dumps(content, ensure_ascii=False)
    return json.loads(re.sub("[\ud800-\udfff]", "\ufffd", text))
