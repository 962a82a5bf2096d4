"""Reading a provider's table into a `Provider`. Strict: an unknown key, a wrong type or an unknown word is an error.

The same words configure the generic providers for one source, so the errors are written for whoever wrote the table.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

from app.core.catalog.proof import Freshness
from app.core.catalog.provider import (
    Answer,
    Coded,
    Coverage,
    Delivery,
    Digest,
    Encoding,
    Mac,
    Place,
    Provider,
    Scheme,
    SecretText,
    SharedSecret,
    SignatureList,
    Text,
    Timestamp,
    TimeUnit,
)
from app.core.catalog.template import compile_template

T = TypeVar("T")

Like = Callable[[str], Mapping[str, Any]]
"""Gives the table of another provider's first scheme."""

_PLACED = re.compile(r"\{((?:header|body|claim):[^{}]+)\}")
_SHARED = ("token_header", "bearer", "basic", "body_field", "query")


class Malformed(ValueError):
    """A table that cannot be used; the text says where and why."""


class _Table:
    """A table that knows which of its keys have been read."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise Malformed(f"{where} must be a table")
        self._values: dict[str, Any] = dict(values)
        self.where = where

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """Give a value of exactly this type."""
        value = self._values.pop(key, default)
        if value is None:
            raise Malformed(f"{self.where} lacks {key}")
        if type(value) is not kind:
            raise Malformed(f"{self.where}.{key} must be of type {kind.__name__}")
        return value

    def word(self, key: str, words: Iterable[str], default: str | None = None) -> Any:
        """Give one of the words that are allowed."""
        word = self.take(key, str, default)
        if word not in words:
            raise Malformed(f"{self.where}.{key} must be one of {', '.join(words)}")
        return word

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Give a list of texts; one alone may stand without brackets."""
        value = self._values.pop(key, default)
        if value is None:
            raise Malformed(f"{self.where} lacks {key}")
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise Malformed(f"{self.where}.{key} must be a text, or a list of texts")
        return tuple(texts)

    def seconds(self, key: str) -> float | None:
        """Give a number of seconds, if there is one."""
        value = self._values.pop(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise Malformed(f"{self.where}.{key} must be a number of seconds")
        return float(value)

    def table(self, key: str) -> "_Table | None":
        """Give a table within this one, if it is there."""
        return _Table(self._values.pop(key), f"{self.where}.{key}") if key in self._values else None

    def holds(self, key: str) -> bool:
        """Tell whether a key is there and not read yet."""
        return key in self._values

    def end(self) -> None:
        """Refuse what nobody has asked for."""
        if self._values:
            raise Malformed(f"{self.where} has no key {', '.join(sorted(self._values))}")


def read_provider(name: str, values: Mapping[str, Any], like: Like) -> Provider:
    """Read a provider. Raises `Malformed`."""
    table = _Table(values, name)
    schemes = table.take("schemes", dict, {})
    settings = table.take("settings", dict, {})
    if not all(isinstance(text, str) for text in settings.values()):
        raise Malformed(f"{name}.settings must say in a text what each is")
    provider = Provider(
        name=name,
        title=table.take("title", str),
        page=table.take("page", str),
        setup=table.take("setup", str),
        schemes=tuple(read_scheme(key, value, like, f"{name}.schemes.{key}") for key, value in schemes.items()),
        delivery=_delivery(table.table("delivery")),
        methods=table.texts("methods", ("POST",)),
        answer_seconds=table.seconds("answer_seconds"),
        retries=table.take("retries", str, ""),
        disables=table.take("disables", str, ""),
        good=_answer(table.table("good")),
        bad=_answer(table.table("bad")) or Answer(401),
        settings=settings,
    )
    table.end()
    return provider


def read_scheme(name: str, values: Any, like: Like, where: str = "verify") -> Scheme:
    """Read one scheme. Raises `Malformed`."""
    if isinstance(values, dict) and "like" in values:
        values = {**like(str(values["like"])), **values}
        del values["like"]
    table = _Table(values, where)
    tolerance = table.seconds("tolerance_seconds")
    past_only = table.take("past_only", bool, False)
    coverage: Coverage | str = table.word("coverage", get_args(Coverage), "full")
    needs = table.word("needs", ("secret", "public key", "fetched key"), "secret")
    settings = table.texts("settings", ())
    if table.holds("code"):
        proof: Mac | SharedSecret | Coded = Coded(table.take("code", str))
    elif any(table.holds(key) for key in _SHARED):
        proof, coverage = _shared(table), "none"
    else:
        proof = _mac(table)
    table.end()
    return Scheme(name, proof, coverage, Freshness(tolerance, past_only), needs, settings)  # type: ignore[arg-type]


def _mac(table: _Table) -> Mac:
    numbered = table.holds("header_prefix")
    mac = Mac(
        headers=tuple(name.lower() for name in table.texts("header_prefix" if numbered else "header")),
        numbered=numbered,
        template=table.take("template", str, "{body}"),
        digest=table.word("digest", get_args(Digest), "sha256"),
        keyed=table.take("keyed", bool, True),
        encoding=table.word("encoding", get_args(Encoding), "hex"),
        prefixes=table.texts("prefix", ("",)),
        list=_list(table.table("list")),
        decoding=table.word("secret", get_args(SecretText), "text"),
        older_decoding=table.word("older_secret", get_args(SecretText)) if table.holds("older_secret") else None,
        secret_suffix=table.take("secret_suffix", str, ""),
        timestamp=_timestamp(table.table("timestamp")),
    )
    try:
        template = compile_template(mac.template)
    except ValueError as error:
        raise Malformed(f"{table.where}.template: {error}") from None
    if template.has_timestamp and mac.timestamp is None:
        raise Malformed(f"{table.where} signs a timestamp and does not say where it stands")
    if template.has_secret is mac.keyed:
        raise Malformed(f"{table.where}: the secret is either the key or a part of the template")
    return mac


def _list(table: _Table | None) -> SignatureList | None:
    if table is None:
        return None
    found = SignatureList(table.take("separator", str), table.take("key", str), table.take("assign", str, "="))
    table.end()
    return found


def _timestamp(table: _Table | None) -> Timestamp | None:
    if table is None:
        return None
    place = next((place for place in ("header", "item", "body") if table.holds(place)), "header")
    found = Timestamp(place, table.take(place, str), table.word("unit", get_args(TimeUnit)))  # type: ignore[arg-type]
    table.end()
    return found


def _shared(table: _Table) -> SharedSecret:
    if table.holds("token_header"):
        return SharedSecret("header", tuple(name.lower() for name in table.texts("token_header")))
    if table.holds("body_field"):
        return SharedSecret("body", table.texts("body_field"))
    if table.holds("query"):
        return SharedSecret("query", table.texts("query"))
    place = "basic" if table.holds("basic") else "bearer"
    return SharedSecret(place, tuple(name.lower() for name in table.texts(place)))  # type: ignore[arg-type]


def _delivery(table: _Table | None) -> Delivery:
    if table is None:
        return Delivery()
    found = Delivery(
        id=_ways(table, "id"),
        type=_ways(table, "type"),
        distinct_by=_ways(table, "distinct_by"),
        whole_body=table.take("whole_body", bool, False),
        items=table.take("items", str, ""),
        content=table.take("content", str, ""),
    )
    table.end()
    if found.content.partition(":")[0] not in {"", "form", "jws", "xml"}:
        raise Malformed(f"{table.where}.content must be form:FIELD, jws:FIELD, xml or xml:FIELD")
    return found


def _ways(table: _Table, key: str) -> tuple[Text, ...]:
    return tuple(_text(way, f"{table.where}.{key}") for way in table.texts(key, ()))


def _text(way: str, where: str) -> Text:
    """Read `body:id`, or places in braces with text between them: `{body:resource}:{body:action}`."""
    if not _PLACED.search(way):
        return (_place(way, where),)
    split = _PLACED.split(way)
    return tuple(_place(text, where) if number % 2 else text for number, text in enumerate(split) if text)


def _place(text: str, where: str) -> Place:
    kind, _, name = text.partition(":")
    if not name or kind not in {"header", "body", "claim"}:
        raise Malformed(f"{where}: {text!r} must be header:NAME, body:PATH or claim:HEADER:NAME")
    return Place(kind, name if kind == "body" else name.lower() if kind == "header" else name)  # type: ignore[arg-type]


def _answer(table: _Table | None) -> Answer | None:
    if table is None:
        return None
    body = table.take("body", str) if table.holds("body") else None
    found = Answer(table.take("status", int), body, table.take("content_type", str, ""))
    table.end()
    return found
