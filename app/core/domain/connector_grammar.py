"""What a connector must say of itself before anybody can use it."""

import json
from collections.abc import Iterator
from itertools import chain

from app.core.domain.connector import Action, Described, Effect
from app.core.domain.source import NAME


def description_faults(described: object) -> list[str]:
    """Say what is wrong with a description, by its form; whether its schemas can be used is asked elsewhere."""
    if not isinstance(described, Described):
        return ["described must be a Described"]
    return list(chain(_own_faults(described), *map(_action_faults, described.actions)))


def _own_faults(described: Described) -> Iterator[str]:
    if not _is_name(described.name):
        yield f"its name {described.name!r} must be of lower-case letters, digits, - and _"
    if not _is_line(described.title):
        yield "its title must be one line"
    if not described.actions:
        yield "it must have an action"
    if len({action.name for action in described.actions}) < len(described.actions):
        yield "its actions must have names of their own"
    if fault := _schema_fault(described.settings_schema):
        yield f"settings_schema {fault}"
    for name, meaning in described.secrets.items():
        if not _is_name(name) or not _is_line(meaning):
            yield f"the secret {name!r} must have a name of lower-case letters, digits, - and _, and one line about it"


def _action_faults(action: object) -> Iterator[str]:
    if not isinstance(action, Action):
        yield "each of its actions must be an Action"
        return
    if not _is_name(action.name):
        yield f"the name {action.name!r} of an action must be of lower-case letters, digits, - and _"
    if not _is_line(action.title):
        yield f"the title of {action.name} must be one line"
    if action.effect not in set(Effect):
        yield f"the effect of {action.name} must be an Effect"
    if fault := _schema_fault(action.input_schema):
        yield f"input_schema of {action.name} {fault}"


def _schema_fault(schema: object) -> str | None:
    if not isinstance(schema, dict):
        return "must be a JSON Schema as a dict"
    try:
        json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return "must hold nothing but what JSON can say"
    return None


def _is_name(text: object) -> bool:
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def _is_line(text: object) -> bool:
    return isinstance(text, str) and bool(text) and text.isprintable() and len(text) <= 200
