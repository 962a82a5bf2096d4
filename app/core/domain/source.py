"""A source: one named place where events enter."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
"""A source's name: what may stand in a URL and a metric label without quoting."""

LARGEST_BODY_BYTES = 25 * 1024 * 1024


_PLAIN = {"prefix": "", "encoding": "hex", "digest": "sha256", "template": "{body}"}
"""What the catalogue takes for granted, and need not be said."""


@dataclass(frozen=True, slots=True)
class ListedScheme:
    """As the catalogue says that the provider signs: in its strongest way, or in the one that is named."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class OwnScheme:
    """As somebody said of a sender that the catalogue does not list, in the catalogue's words."""

    table: str
    """JSON with sorted keys, without what goes without saying."""

    @classmethod
    def of(cls, **words: Any) -> Self:
        """Write the words down; names of headers are the same in any case."""
        said = {word: value for word, value in words.items() if _PLAIN.get(word) != value}
        if isinstance(header := said.get("header"), str):
            said["header"] = header.lower()
        return cls(json.dumps(said, sort_keys=True, ensure_ascii=False))

    @property
    def words(self) -> dict[str, Any]:
        """Give the words back."""
        words: dict[str, Any] = json.loads(self.table)
        return words


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
    verify: ListedScheme | OwnScheme | None
    """None only when somebody said `verify: none`."""
    secrets: tuple[str, ...] = ()
    """References (`env:NAME`, `file:PATH`, `handshake:` with its own name), never values; several during a rotation."""
    delivery_key: Place | None = None
    """None: as the provider identifies its deliveries, or the body's digest."""
    type: Place | None = None
    """None: as the provider names its events."""
    expiries: tuple[tuple[str, datetime], ...] = ()
    """When a reference among the secrets proves nothing any more, in UTC."""
    tolerance_seconds: float | None = None
    """How old a signed timestamp may be; None: as old as the scheme says."""
    settings: tuple[tuple[str, str], ...] = ()
    """What else its provider needs to know, by name: a text, or a reference where it is secret."""
    schema: str | None = None
    """A JSON Schema as text that its payloads are to fit; what does not is kept apart, never refused."""
    body_limit_bytes: int | None = None
    """None: the limit that the settings give."""
    rate_per_second: float | None = None
    """The most deliveries that are taken, from all processes together; None: any number."""
    public_url: str | None = None
    """The address that the provider was given, for providers that sign it."""
    run: str | None = None
    """What its events set going: a connection, or a connector that needs no settings, and its action (`sink.post`)."""
