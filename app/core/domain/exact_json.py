"""JSON as we keep it: ASCII text, in which every integer is exact and nothing is refused that JSON can say.

The standard library's writer and reader: orjson makes floats of integers above 64 bits when it reads them, and refuses
to write them.
"""

import json

from app.core.domain.connector import Json


def write(value: Json) -> str:
    """Write a value as compact ASCII text. Raises `ValueError` for what JSON cannot say, or with a number too long."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise ValueError(str(error)) from None


def read(text: str) -> Json:
    """Read what `write` wrote."""
    return json.loads(text)
