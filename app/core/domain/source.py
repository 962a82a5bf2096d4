"""A source: one named place where events enter."""

import re
from dataclasses import dataclass
from typing import Literal

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
"""A source's name: what may stand in a URL and a metric label without quoting."""

LARGEST_BODY_BYTES = 25 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HmacScheme:
    """HMAC-SHA256 over the raw body, in a header, after a prefix."""

    header: str
    """In lower case."""
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a request a text stands: in a header, at a JMESPath in the body, or (digest) it is the body itself."""

    kind: Literal["header", "body", "digest"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


DIGEST = Place("digest")


@dataclass(frozen=True, slots=True)
class Source:
    """How requests to one name are proved genuine, told apart and named."""

    name: str
    provider: str
    verify: HmacScheme | None
    """None only when somebody said `verify: none`."""
    secrets: tuple[str, ...] = ()
    """References (`env:NAME`, `file:PATH`), never values; several while a secret is being rotated."""
    delivery_key: Place = DIGEST
    type: Place | None = None
    body_limit_bytes: int | None = None
    """None: the limit that the settings give."""
    rate_per_second: float | None = None
    """The most deliveries that are taken, from all processes together; None: any number."""
    public_url: str | None = None
    """The address that the provider was given, for providers that sign it."""

    @property
    def reads_body(self) -> bool:
        """Tell whether intake must parse the body to make the key or the type."""
        return self.delivery_key.kind == "body" or (self.type is not None and self.type.kind == "body")
