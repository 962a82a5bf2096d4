"""Writing values as JSON, exactly or not at all.

By the standard library: orjson reads integers above 64 bits as floats, and refuses to write them.
"""

import json
from typing import Any


def json_bytes(value: Any) -> bytes:
    """Write a value in one line of UTF-8, integers of any size in full. A lone surrogate is escaped, as JSON allows.

    Raises `ValueError` for what no reader would give back as it was: NaN, an infinite number (`1e400` is read as one),
    an integer too long for Python to write, nesting too deep, anything that JSON has no word for.
    """
    text = _written(value, _AS_IS)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json_ascii(value).encode()


def json_ascii(value: Any) -> str:
    """Write a value in one line of ASCII, for databases that take not every character. Raises as `json_bytes` does."""
    return _written(value, _ASCII)


# Kept, since `json.dumps` makes one anew at each call that wants anything but its defaults.
_AS_IS = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ASCII = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _written(value: Any, encoder: json.JSONEncoder) -> str:
    try:
        return encoder.encode(value)
    except TypeError:
        raise ValueError("it holds something that JSON has no word for") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"it cannot be written as JSON: {str(error).partition(':')[0]}") from None
