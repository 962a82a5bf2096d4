"""What does not fit a schema, in one short line, without a word of the content."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from jsonschema_rs import ValidationError, ValidationErrorKind

from app.core.domain.document import shown

LONGEST_PLACE = 200

_EXPECTED = {
    "additionalProperties": "must not be there",
    "anyOf": "must fit one of the alternatives, and fits none",
    "const": "must be {}",
    "contains": "must hold the items that the schema asks for",
    "contentEncoding": "must be encoded in {}",
    "contentMediaType": "must hold {}",
    "enum": "must be one of {}",
    "exclusiveMaximum": "must be less than {}",
    "exclusiveMinimum": "must be more than {}",
    "falseSchema": "holds what the schema does not allow",
    "format": "must be of the format {}",
    "maxItems": "must have at most {} items",
    "maxLength": "must have at most {} characters",
    "maxProperties": "must have at most {} keys",
    "maximum": "must be at most {}",
    "minItems": "must have at least {} items",
    "minLength": "must have at least {} characters",
    "minProperties": "must have at least {} keys",
    "minimum": "must be at least {}",
    "multipleOf": "must be a multiple of {}",
    "not": "must not be what the schema excludes",
    "oneOf": "must fit one of the alternatives, and fits none",
    "pattern": "must match {}",
    "propertyNames": "has a key that must not be there",
    "required": "must have {}",
    "type": "must be of the type {}",
    "unevaluatedItems": "must have no more items",
    "unevaluatedProperties": "must not be there",
    "uniqueItems": "must have no item twice",
}
_WITH_A_VALUE = {keyword for keyword, text in _EXPECTED.items() if "{}" in text}


def told(error: ValidationError, content: object, names: Callable[[str], bool]) -> str:
    """Say where a content does not fit and what is expected there. `names` tells which of its keys may be shown."""
    error = _meant(error)
    path = error.instance_path
    if isinstance(error.kind, ValidationErrorKind.AdditionalProperties | ValidationErrorKind.UnevaluatedProperties):
        path = [*path, error.kind.unexpected[0]]
    return f"{_place(path, content, names)}: {_expected(error.kind)}"


def _expected(kind: ValidationErrorKind) -> str:
    if isinstance(kind, ValidationErrorKind.OneOfMultipleValid):
        return "must fit only one of the alternatives, and fits several"
    text = _EXPECTED.get(kind.name, f"must fit {shown(kind.name)}")
    if kind.name not in _WITH_A_VALUE:
        return text
    value = kind.value
    if kind.name == "type":
        return text.format(" or ".join(sorted(value)))
    if kind.name == "enum":
        return text.format(shown(" or ".join(map(_written, value))))
    return text.format(shown(_written(value)))


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _place(path: Sequence[str | int], content: Any, names: Callable[[str], bool]) -> str:
    """Write a path as JSONPath does; a key that must not be shown is counted: `$.contacts.(key 3).age`."""
    place = "$"
    for step in path:
        while isinstance(content, dict) and step not in content and "" in content:
            # The library leaves empty keys out of its paths.
            place, content = f"{place}.(key {list(content).index('') + 1})", content[""]
        try:
            inside = content[step]
        except (LookupError, TypeError):
            break  # an empty key was left out, and another way led on instead
        if isinstance(step, int):
            place += f"[{step}]"
        else:
            place += f".{shown(step)}" if names(step) else f".(key {list(content).index(step) + 1})"
        content = inside
    return place if len(place) <= LONGEST_PLACE else f"{place[:LONGEST_PLACE]}…"


def _meant(error: ValidationError) -> ValidationError:
    """Go down into the one alternative that was meant, as long as there is one: there the mismatch is.

    An alternative was not meant when the value is of another type, or else when a constant in it differs.
    """
    while isinstance(error.kind, ValidationErrorKind.AnyOf | ValidationErrorKind.OneOfNotValid):
        left = [errors for errors in error.kind.context if not any(_of_another_type(one, error) for one in errors)]
        if len(left) != 1:
            left = [errors for errors in left if not any(one.kind.name in {"const", "enum"} for one in errors)]
        if len(left) != 1 or not left[0]:
            break
        error = left[0][0]
    return error


def _of_another_type(error: ValidationError, whole: ValidationError) -> bool:
    return error.kind.name == "type" and error.instance_path == whole.instance_path
