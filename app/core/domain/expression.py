"""A step's input as a person wrote it, with `${…}` in its texts: JMESPath over what is known when the step runs.

A text that is one expression keeps the type of what it finds; expressions within a text are written into it.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.parser import ParsedResult

from app.core.domain.connector import Json
from app.core.domain.errors import Fault, Invalid
from app.core.domain.json_text import json_ascii

_EXPRESSION = re.compile(r"\$\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")


def filled(template: Json, known: Mapping[str, Json], where: str = "with") -> Json:
    """Fill a template in. Raises `Invalid`, which names the place of what cannot be evaluated."""
    if isinstance(template, str):
        return _text(template, known, where)
    if isinstance(template, Mapping):
        return {name: filled(value, known, f"{where}.{name}") for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, known, f"{where}[{place}]") for place, value in enumerate(template)]
    return template


def _text(text: str, known: Mapping[str, Json], where: str) -> Json:
    if "${" not in text:
        return text
    if whole := _EXPRESSION.fullmatch(text):
        return _found(whole[1], known, where)
    return _EXPRESSION.sub(lambda match: _written(_found(match[1], known, where), where), text)


def _found(expression: str, known: Mapping[str, Json], where: str) -> Any:
    try:
        return _compiled(expression).search(known)
    except Exception as error:  # noqa: BLE001 (some functions raise what Python raises: `contains` on a text, `[::0]`)
        reason = str(error).partition("\n")[0]
        raise Invalid([Fault(where, f"${{{expression}}} cannot be evaluated: {reason}")]) from None


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> ParsedResult:
    return jmespath.compile(expression)


def _written(value: Json, where: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else json_ascii(value)
    except ValueError as error:
        raise Invalid([Fault(where, f"what it finds cannot be written into a text: {error}")]) from None
