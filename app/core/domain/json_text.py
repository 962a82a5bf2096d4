"""Writing values as JSON, exactly or not at all."""

import json
from typing import Any


def json_bytes(value: Any) -> bytes:
    """Write a value in one line of UTF-8, integers of any size in full. A lone surrogate is escaped, as JSON allows.

    Raises `ValueError` for what no reader would give back as it was: NaN, an infinite number (`1e400` is read as one),
    an integer too long for Python to write, nesting too deep, anything that JSON has no word for.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except TypeError:
        raise ValueError("it holds something that JSON has no word for") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"it cannot be written as JSON: {str(error).partition(':')[0]}") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
