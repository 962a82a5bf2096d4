"""Where in a content the mismatch is that a payload schema told of."""

import re
from collections.abc import Mapping
from typing import Any

from app.core.domain.document import shown

_COUNTED = re.compile(r"\.\(key (\d+)\)")
_INDEX = re.compile(r"\[(\d+)\]")
_END = re.compile(r"[.\[:]")

Steps = tuple[str | int, ...]


def place_in(content: Any, told: str) -> tuple[Steps, str]:
    """Split `$.headers.(key 2)[0]: must be …` into the keys and indices that lead there, and the message.

    Keys are looked up in the content, since any sign may stand in one. What leads no further ends the steps before.
    """
    if not told.startswith("$"):
        return (), told
    rest = told[1:]
    steps: list[str | int] = []
    while not rest.startswith(": "):
        step, length = _step(content, rest)
        if step is None:
            return tuple(steps), rest.partition(": ")[2] or told
        steps.append(step)
        content, rest = content[step], rest[length:]
    return tuple(steps), rest[2:]


def _step(content: Any, rest: str) -> tuple[str | int | None, int]:
    if isinstance(content, list) and (index := _INDEX.match(rest)) and int(index[1]) < len(content):
        return int(index[1]), len(index[0])
    if not isinstance(content, Mapping):
        return None, 0
    keys = list(content)
    if (counted := _COUNTED.match(rest)) and 1 <= int(counted[1]) <= len(keys):
        return keys[int(counted[1]) - 1], len(counted[0])
    ways = [key for key in keys if rest.startswith(f".{shown(key)}") and _END.match(rest, 1 + len(shown(key)))]
    longest = max(ways, key=len, default=None)
    return longest, 1 + len(shown(longest)) if longest is not None else 0
