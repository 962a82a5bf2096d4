"""The same table the other way round: what a provider would have sent, signed as it signs."""

import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from app.core.catalog.encodings import ENCODERS
from app.core.catalog.keyed_digests import digesting, keys_of
from app.core.catalog.proof import Credentials, NotGenuine, SignedRequest
from app.core.catalog.provider import Coded, Mac, Scheme, SharedSecret
from app.core.catalog.template import compile_template
from app.core.catalog.timestamps import written
from app.core.domain.body import Readable, read_json


def sign(scheme: Scheme, credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Give a request as the provider would send it at a time, signed with the first secret.

    A signed id that is not there yet is made up. Raises `ValueError` for what cannot be signed, and says why.
    """
    if isinstance(scheme.proof, Mac):
        return _with_digest(scheme.proof, credentials, request, now)
    if isinstance(scheme.proof, Coded):
        from app.core.catalog.schemes.signing import SIGNERS  # brings cryptography, for which only these should wait

        return SIGNERS[scheme.proof.name](credentials, request, now)
    return _with_secret(scheme.proof, credentials, request)


def _with_digest(mac: Mac, credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    key = keys_of(mac, credentials.secrets)[0][0]
    timestamp, stamp = mac.timestamp, b""
    for names in compile_template(mac.template).headers:
        if not any(value for name in names for value in request.values(name.encode())):
            request = _with_header(request, names[0], b"msg_" + sha256(request.body).hexdigest()[:24].encode())
    if timestamp is not None:
        stamp = written(timestamp.unit, now)
        if timestamp.place == "header":
            request = _with_header(request, timestamp.name.partition("|")[0], stamp)
        elif timestamp.place == "body":
            request = _with_time_in_body(request, timestamp.name, int(stamp))
    made = digesting(mac, key)(request, stamp)
    if isinstance(made, NotGenuine):
        raise ValueError(made.detail)
    value = mac.prefixes[0].encode() + ENCODERS[mac.encoding](made)
    if mac.list is not None:
        items = [mac.list.key.encode() + mac.list.assign.encode() + value]
        if timestamp is not None and timestamp.place == "item":
            items.insert(0, timestamp.name.encode() + mac.list.assign.encode() + stamp)
        value = mac.list.separator.encode().join(items)
    return _with_header(request, mac.headers[0] + ("1" if mac.numbered else ""), value)


def _with_header(request: SignedRequest, name: str, value: bytes) -> SignedRequest:
    """Give the request with a header, in the place of any before."""
    wanted = name.lower().encode()
    kept = [header for header in request.headers if header[0] != wanted]
    return request._replace(headers=[*kept, (wanted, value)])


def _with_time_in_body(request: SignedRequest, name: str, stamp: int) -> SignedRequest:
    content = read_json(request.body)
    if not isinstance(content, Readable) or not isinstance(content.value, dict):
        raise ValueError(f"the time belongs to {name} of a JSON object, and the body is none")
    if content.value.get(name) == stamp:
        return request
    return _with_json(request, {**content.value, name: stamp})


def _with_json(request: SignedRequest, value: Any) -> SignedRequest:
    return request._replace(body=json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _with_secret(shared: SharedSecret, credentials: Credentials, request: SignedRequest) -> SignedRequest:
    if not credentials.secrets or not credentials.secrets[0]:
        raise ValueError("it needs a secret")
    return _SHOWN[shared.place](shared, credentials.secrets[0], request)


def _in_header(shared: SharedSecret, secret: bytes, request: SignedRequest) -> SignedRequest:
    return _with_header(request, shared.names[0], secret)


def _as_bearer(shared: SharedSecret, secret: bytes, request: SignedRequest) -> SignedRequest:
    return _in_header(shared, secret if secret.lower().startswith(b"bearer ") else b"Bearer " + secret, request)


def _as_basic(shared: SharedSecret, secret: bytes, request: SignedRequest) -> SignedRequest:
    return _in_header(shared, b"Basic " + b64encode(secret), request)


def _in_body(shared: SharedSecret, secret: bytes, request: SignedRequest) -> SignedRequest:
    content = read_json(request.body)
    if not isinstance(content, Readable) or not isinstance(content.value, dict):
        raise ValueError(f"the secret belongs to {shared.names[0]} of a JSON object, and the body is none")
    *path, last = shared.names[0].split(".")
    place = content.value
    for step in path:
        place = place.setdefault(step, {})
    place[last] = secret.decode()
    return _with_json(request, content.value)


def _in_query(shared: SharedSecret, secret: bytes, request: SignedRequest) -> SignedRequest:
    question = "&" if "?" in request.url else "?"
    return request._replace(url=f"{request.url}{question}{shared.names[0]}={quote(secret, safe='')}")


_SHOWN: dict[str, Callable[[SharedSecret, bytes, SignedRequest], SignedRequest]] = {
    "header": _in_header,
    "bearer": _as_bearer,
    "basic": _as_basic,
    "body": _in_body,
    "query": _in_query,
}
