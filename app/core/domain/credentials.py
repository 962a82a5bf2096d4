"""What of a request is a credential, of ours or the sender's: left out of what is kept, masked where it is shown."""

import re
from collections.abc import Collection, Sequence

MASK = "********"
LONGEST_REMEMBERED = 64

# A header of any of these kinds is a credential.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
_CREDENTIAL_WORDS = ("token", "secret", "password", "api-key", "apikey")
_CREDENTIAL_PARAMETER = re.compile(r"([?&][^=&]*(?:token|secret|password|api[_-]?key)[^=&]*=)[^&]*", re.IGNORECASE)


def is_credential(name: str) -> bool:
    """Tell whether a header of this name (in lower case) holds a credential."""
    return name in _CREDENTIALS or any(word in name for word in _CREDENTIAL_WORDS)


def chosen(headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Choose the headers that are kept: all but credentials."""
    return tuple([(name, value.decode("latin-1")) for raw_name, value in headers if (name := _KEPT_NAMES[raw_name])])


def chosen_with(headers: Sequence[tuple[bytes, bytes]], needed: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Choose all but credentials, and of these the ones that are needed, by their names in lower case."""
    if not needed:
        return chosen(headers)  # by far the quicker, in a flood of what is refused
    return tuple(
        [
            (name, value.decode("latin-1"))
            for raw_name, value in headers
            if (name := raw_name.decode("latin-1")) in needed or not is_credential(name)
        ]
    )


MOST_REMEMBERED = 1024


class _KeptNames(dict[bytes, str]):
    """The name under which each header is kept; empty for a credential.

    The same names come with each request. The bounds keep a stranger from filling the memory with others.
    """

    def __missing__(self, raw_name: bytes) -> str:
        text = raw_name.decode("latin-1")
        name = "" if is_credential(text) else text
        if len(self) < MOST_REMEMBERED and len(raw_name) <= LONGEST_REMEMBERED:
            self[raw_name] = name
        return name


_KEPT_NAMES = _KeptNames()


def masked_headers(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Show headers to a person: that a credential was there, and not what it was."""
    return tuple((name, MASK if is_credential(name) else value) for name, value in headers)


def masked_url(url: str) -> str:
    """Show a URL to a person, with a mask for each parameter that is called like a credential."""
    return _CREDENTIAL_PARAMETER.sub(rf"\g<1>{MASK}", url)
