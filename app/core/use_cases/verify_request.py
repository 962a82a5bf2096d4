"""Why is this request refused? One request with what it is to be checked with, as data; no database, key or network.

It is checked as intake would check it, with the same schemes and the same rows of the catalogue.
"""

import binascii
from collections.abc import Mapping
from http import HTTPStatus
from math import isfinite
from typing import Any, NamedTuple

from app.core.catalog.catalogue import find
from app.core.catalog.credentials import credentials_of
from app.core.catalog.handshakes import HandshakeAnswer, answer
from app.core.catalog.identification import Identity, identify
from app.core.catalog.proof import Credentials, Freshness, Genuine, Headers, KeyWanted, NotGenuine, SignedRequest
from app.core.catalog.provider import Provider, Scheme
from app.core.catalog.verifying import prepare
from app.core.domain.body import Unreadable, read_json
from app.core.domain.delivery_key import printable

MOST_KEYS = 4
"""How many addresses a scheme may ask for before it must make up its mind."""

LATEST = 1e15
"""Seconds; what lies beyond is no time, whether it is a number or not."""

UNSIGNED = frozenset({"credentials_unusable", "header_missing", "signature_malformed", "signature_missing"})
UNSIGNED |= {"token_malformed", "token_missing"}
"""What is said of a request that shows no signature, as most challenges show none."""

UNIDENTIFIED = Identity(None, None, None)


class Question(NamedTuple):
    """A request, and what it is to be checked with."""

    provider: Provider
    scheme: Scheme
    request: SignedRequest
    credentials: Credentials
    freshness: Freshness
    key: bytes | None
    """What answers whoever asks for a key to be fetched."""
    now: float | None
    id: Any = None
    """Given back as it came."""


class Finding(NamedTuple):
    """What came of it."""

    id: Any
    provider: str | None
    verdict: Genuine | NotGenuine
    identity: Identity = UNIDENTIFIED
    handshake: HandshakeAnswer | None = None
    """What the sender wants to hear of a challenge, or is told of a badly signed one."""


class Malformed(ValueError):
    """The question cannot be understood."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.verdict = NotGenuine(code, detail)


def verify_request(text: bytes, provider: str | None = None) -> Finding:
    """Answer one question, written as a JSON object. The provider is for objects that name none. Never raises."""
    content = read_json(text)
    if isinstance(content, Unreadable):
        return Finding(None, provider, NotGenuine("malformed_request", f"it is no JSON object: {content.reason}"))
    if not isinstance(content.value, dict):
        return Finding(None, provider, NotGenuine("malformed_request", "it must be a JSON object"))
    values = content.value
    name = values.get("provider", provider)
    try:
        question = _question(values, name)
    except Malformed as error:
        return Finding(_id(values), name if isinstance(name, str) else None, error.verdict)
    verdict = _verdict(question)
    identity = UNIDENTIFIED
    if isinstance(verdict, Genuine):
        identity = identify(question.provider.delivery, question.request)
    handshake = _handshake(question, verdict)
    if handshake is not None and isinstance(verdict, NotGenuine) and verdict.code in UNSIGNED and _asks(handshake):
        verdict = _of_challenge(handshake)
    return Finding(question.id, name, verdict, identity, handshake)


def shown(finding: Finding) -> dict[str, Any]:
    """Give a finding as what is printed."""
    verdict, identity = finding.verdict, finding.identity
    genuine = isinstance(verdict, Genuine)
    values: dict[str, Any] = {
        "id": finding.id,
        "provider": finding.provider,
        "verdict": "valid" if genuine else "invalid",
        "code": "ok" if isinstance(verdict, Genuine) else verdict.code,
        "matched_secret": verdict.matched_secret if isinstance(verdict, Genuine) else None,
        "delivery_id": printable(identity.delivery_id) if identity.delivery_id else None,
        "event_type": printable(identity.event_type) if identity.event_type else None,
        "detail": verdict.verification if isinstance(verdict, Genuine) else verdict.detail,
    }
    if (handshake := finding.handshake) is not None:
        body = binascii.b2a_base64(handshake.body, newline=False).decode()
        values["handshake"] = {"status": handshake.status, "headers": dict(handshake.headers), "body_b64": body}
    return values


def _verdict(question: Question) -> Genuine | NotGenuine:
    credentials = question.credentials
    wanted = ""
    try:
        for _ in range(MOST_KEYS):
            verdict = prepare(question.scheme, credentials, question.freshness)(question.request, question.now)
            if not isinstance(verdict, KeyWanted):
                return verdict
            wanted = verdict.url
            if question.key is None or wanted in credentials.keys:
                break
            credentials = credentials._replace(keys={**credentials.keys, wanted: question.key})
    except ValueError as error:
        return NotGenuine("credentials_unusable", f"{question.provider.name}, scheme {question.scheme.name}: {error}")
    return NotGenuine("key_unknown", f"it needs what stands at {wanted}: give it as key")


def _handshake(question: Question, verdict: Genuine | NotGenuine) -> HandshakeAnswer | None:
    credentials = question.credentials
    if isinstance(verdict, Genuine) and verdict.matched_secret > 1:
        matched = credentials.secrets[verdict.matched_secret - 1]
        credentials = credentials._replace(secrets=(matched, *credentials.secrets))
    given = answer(question.provider.name, question.request, credentials, question.now)
    if given is None or isinstance(verdict, Genuine) or not given.needs_signature:
        return given
    return None if given.after_event else HandshakeAnswer(question.provider.bad.status)


def _asks(handshake: HandshakeAnswer) -> bool:
    """Tell a challenge that nobody signs from one that is signed like an event, and from an event itself."""
    return not handshake.needs_signature and not handshake.after_event


def _of_challenge(handshake: HandshakeAnswer) -> Genuine | NotGenuine:
    if handshake.status < HTTPStatus.BAD_REQUEST:
        return Genuine("handshake", 0)
    return NotGenuine("handshake_refused", f"a challenge that is not signed, and is answered {handshake.status}")


def _question(values: Mapping[str, Any], name: Any) -> Question:
    if not isinstance(name, str):
        raise Malformed("provider_missing", "name the provider in the object, or after the command")
    provider = find(name)
    if provider is None:
        raise Malformed("provider_unknown", "no provider of this name is in the catalogue")
    scheme_name = _optional(values, "scheme", str)
    scheme = provider.scheme(scheme_name)
    if scheme is None:
        schemes = ", ".join(scheme.name for scheme in provider.schemes)
        raise Malformed("scheme_unknown", f"{provider.name} has no such scheme; it has {schemes}")
    tolerance = _number(values, "tolerance_s")
    if tolerance is not None and tolerance < 0:
        raise Malformed("malformed_request", "tolerance_s must not be negative")
    key = values.get("key")
    try:
        credentials = credentials_of(provider.name, values.get("secret"), key, _optional(values, "config", dict))
    except ValueError as error:
        raise Malformed("malformed_request", str(error)) from None
    return Question(
        provider=provider,
        scheme=scheme,
        request=SignedRequest(
            _optional(values, "method", str) or "POST",
            _optional(values, "url", str) or "",
            _headers(values.get("headers")),
            _body(_optional(values, "body_b64", str) or ""),
        ),
        credentials=credentials,
        freshness=scheme.freshness if tolerance is None else scheme.freshness._replace(tolerance_seconds=tolerance),
        key=key.encode("utf-8", "surrogatepass") if isinstance(key, str) else None,
        now=_number(values, "now"),
        id=_id(values),
    )


def _id(values: Mapping[str, Any]) -> Any:
    """Give back what names the question; infinity, which JSON can be made to say and cannot say, is no name."""
    value = values.get("id")
    return None if isinstance(value, float) and not isfinite(value) else value


def _optional(values: Mapping[str, Any], key: str, kind: type) -> Any:
    value = values.get(key)
    if value is not None and not isinstance(value, kind):
        raise Malformed("malformed_request", f"{key} must be of type {kind.__name__}")
    return value


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = _optional(values, key, object)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LATEST:
        raise Malformed("malformed_request", f"{key} must be a number of seconds, or null")
    return float(value)


def _headers(values: Any) -> Headers:
    """Read headers: an object of texts or of lists of texts, or a list of pairs."""
    pairs = list(values.items()) if isinstance(values, dict) else values or []
    headers: list[tuple[bytes, bytes]] = []
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Malformed("malformed_request", "headers must be an object, or a list of pairs")
        name, value = pair
        texts = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or not all(isinstance(text, str) for text in texts):
            raise Malformed("malformed_request", "headers must have texts as names and values")
        headers += [(_encoded(name).lower(), _encoded(text)) for text in texts]
    return headers


def _encoded(text: str) -> bytes:
    """Give the bytes of a header: as HTTP reads them where that can be, UTF-8 otherwise."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _body(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
    except ValueError:  # and what is not ASCII
        raise Malformed("malformed_request", "body_b64 is not Base64") from None
