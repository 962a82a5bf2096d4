"""Senders that do not sign, but show the secret itself: in a header, as Basic or Bearer, in the body, or in the URL."""

import binascii
import hmac
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, urlsplit

from app.core.catalog.content import content_of
from app.core.catalog.proof import Credentials, Freshness, Genuine, NotGenuine, SignedRequest, Verdict, Verifier
from app.core.catalog.provider import SharedSecret
from app.core.catalog.template import header_of

Shown = Callable[[SignedRequest], Sequence[bytes] | NotGenuine]
"""Everything that a request shows as a secret: each of them must be one."""

MISSING = "token_missing"


def prepare(shared: SharedSecret, credentials: Credentials, _freshness: Freshness) -> Verifier:
    """Make the comparison ready. Raises `ValueError` when there is no secret, or an empty one."""
    secrets = [_bare(secret) if shared.place == "bearer" else secret for secret in credentials.secrets]
    if not secrets or not all(secrets):
        raise ValueError("it needs a secret, and none may be empty")
    find, where = _FINDERS[shared.place](shared)
    label = {"basic": "basic", "bearer": "bearer"}.get(shared.place, "token")
    mismatch = NotGenuine("token_mismatch", f"{where} is none of the {len(secrets)} secrets")

    def number_of(given: bytes) -> int:
        matched = [number for number, secret in enumerate(secrets, 1) if hmac.compare_digest(secret, given)]
        return matched[0] if matched else 0

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        shown = find(request)
        if isinstance(shown, NotGenuine):
            return shown
        numbers = [number_of(given) for given in shown]
        if not all(numbers):
            return mismatch
        return Genuine(label if numbers[0] == 1 else f"{label}#{numbers[0]}", numbers[0])

    return verify


def _bare(authorization: bytes) -> bytes:
    """Take the word Bearer off: operators paste the whole header or the token alone."""
    word, blank, token = authorization.partition(b" ")
    return token.strip() if blank and word.lower() == b"bearer" else authorization


def _in_header(shared: SharedSecret) -> tuple[Shown, str]:
    names = [name.encode() for name in shared.names]
    where = f"header {' or '.join(shared.names)}"

    def find(request: SignedRequest) -> Sequence[bytes] | NotGenuine:
        found = header_of(request, names)
        if found is None:
            return NotGenuine(MISSING, f"no {where}")
        return found if isinstance(found, NotGenuine) else [found[1]]

    return find, where


def _as_bearer(shared: SharedSecret) -> tuple[Shown, str]:
    find_value, where = _in_header(shared)

    def find(request: SignedRequest) -> Sequence[bytes] | NotGenuine:
        found = find_value(request)
        if isinstance(found, NotGenuine):
            return found
        return [_bare(found[0])]

    return find, where


def _as_basic(shared: SharedSecret) -> tuple[Shown, str]:
    find_value, where = _in_header(shared)

    def find(request: SignedRequest) -> Sequence[bytes] | NotGenuine:
        found = find_value(request)
        if isinstance(found, NotGenuine):
            return found
        word, _, text = found[0].partition(b" ")
        try:
            if word.lower() == b"basic":
                return [binascii.a2b_base64(text.strip(), strict_mode=True)]
        except ValueError:
            pass
        return NotGenuine("token_malformed", f"{where} is not Basic, and Base64 after it")

    return find, where


def _in_body(shared: SharedSecret) -> tuple[Shown, str]:
    where = f"{' or '.join(shared.names)} of the body"
    paths = [name.split(".") for name in shared.names]

    def find(request: SignedRequest) -> Sequence[bytes] | NotGenuine:
        content = content_of(request)
        for path in paths:
            value = content.value
            for step in path:
                value = value.get(step) if isinstance(value, dict) else None
            if isinstance(value, str):
                return [value.encode("utf-8", "surrogatepass")]
        return NotGenuine(MISSING, f"no text at {where}")

    return find, where


def _in_query(shared: SharedSecret) -> tuple[Shown, str]:
    where = f"{' or '.join(shared.names)} in the URL"

    def find(request: SignedRequest) -> Sequence[bytes] | NotGenuine:
        try:
            pairs = parse_qsl(urlsplit(request.url).query, keep_blank_values=True, max_num_fields=1000)
        except ValueError:
            return NotGenuine("token_malformed", "the URL's query cannot be read")
        shown = [value.encode("utf-8", "surrogatepass") for name, value in pairs if name in shared.names]
        return shown or NotGenuine(MISSING, f"no {where}")

    return find, where


_FINDERS: dict[str, Callable[[SharedSecret], tuple[Shown, str]]] = {
    "header": _in_header,
    "bearer": _as_bearer,
    "basic": _as_basic,
    "body": _in_body,
    "query": _in_query,
}
