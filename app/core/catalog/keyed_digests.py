"""The declarative schemes: a keyed digest over a text that a template describes, made ready once for a source.

All that can be decided beforehand is: the template is cut into pieces, secrets are decoded, and HMAC has already taken
in its key. A request then costs a look through its headers, one copy of that state, and the hash of its body.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from app.core.catalog.candidates import finder
from app.core.catalog.encodings import secret_key
from app.core.catalog.proof import Credentials, Freshness, Genuine, NotGenuine, SignedRequest, Verdict, Verifier
from app.core.catalog.provider import Mac
from app.core.catalog.signing_time import ageing, stamp_of
from app.core.catalog.template import compile_template


class _Hashing(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def copy(self) -> "_Hashing": ...

    def digest(self) -> bytes: ...


Digesting = Callable[[SignedRequest, bytes], bytes | NotGenuine]
"""(request, timestamp as text) → the digest that a genuine one carries, or what it lacks to have one."""


def prepare(mac: Mac, credentials: Credentials, freshness: Freshness) -> Verifier:
    """Make a scheme ready for a source's secrets. Raises `ValueError` when they cannot be used."""
    find, find_stamp, aged = finder(mac), stamp_of(mac.timestamp), ageing(mac.timestamp, freshness)
    stamp_is_signed = compile_template(mac.template).has_timestamp
    label = f"hmac-{mac.digest}" if mac.keyed else mac.digest
    rounds = [
        (digesting(mac, key), Genuine(label if number == 1 else f"{label}#{number}", number))
        for number, keys in enumerate(keys_of(mac, credentials.secrets), start=1)
        for key in keys
    ]
    how_many = len(credentials.secrets)
    fits = "does not fit the secret" if how_many == 1 else f"fits none of the {how_many} secrets"
    mismatch = NotGenuine("signature_mismatch", f"{' or '.join(mac.headers)} {fits} over {mac.template}")

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        found = find(request)
        if isinstance(found, NotGenuine):
            return found
        candidates, beside = found
        stamp = beside or b""
        if stamp_is_signed and not stamp:
            told = find_stamp(request)
            if isinstance(told, NotGenuine):
                return told
            stamp = told
        for digest_of, genuine in rounds if candidates else ():
            made = digest_of(request, stamp)
            if isinstance(made, NotGenuine):
                return made
            for given in candidates:
                if hmac.compare_digest(made, given):
                    return genuine if now is None or aged is None else aged(request, stamp, now) or genuine
        return mismatch

    return verify


def keys_of(mac: Mac, secrets: Sequence[bytes]) -> list[list[bytes]]:
    """Decode the secrets, each to the key that signs and what else it may have been.

    Raises `ValueError` that names the number of the one at fault, and nothing of it.
    """
    if not secrets:
        raise ValueError("it needs a secret")
    return [_keys(mac, number, secret) for number, secret in enumerate(secrets, start=1)]


def _keys(mac: Mac, number: int, secret: bytes) -> list[bytes]:
    keys, faults = [], []
    for kind in (mac.decoding, mac.older_decoding):
        try:
            if kind is not None:
                keys.append(secret_key(kind, secret, mac.secret_suffix))
        except ValueError as error:
            faults.append(error)
    if not keys:
        raise ValueError(f"secret {number} cannot be used: {faults[0]}")
    return list(dict.fromkeys(keys))


def digesting(mac: Mac, key: bytes) -> Digesting:
    """Make ready what computes the digest of a request under one key."""
    template = compile_template(mac.template)
    pieces = template.pieces
    start, finish = _keyed(mac.digest, key) if mac.keyed else (_HASHES[mac.digest], None)

    def over_body(request: SignedRequest, _stamp: bytes) -> bytes:
        hashing = start()
        hashing.update(request.body)
        if finish is None:
            return hashing.digest()
        outer = finish()
        outer.update(hashing.digest())
        return outer.digest()

    def over_pieces(request: SignedRequest, stamp: bytes) -> bytes | NotGenuine:
        hashing = start()
        for piece in pieces:  # one after the other, so that no body is copied
            content = piece(request, stamp, key)
            if isinstance(content, NotGenuine):
                return content
            hashing.update(content)
        if finish is None:
            return hashing.digest()
        outer = finish()
        outer.update(hashing.digest())
        return outer.digest()

    return over_body if template.only_body else over_pieces


_HASHES: Mapping[str, Callable[[], _Hashing]] = {
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
}
_BLOCK_BYTES = {"sha1": 64, "sha256": 64, "sha512": 128}
_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))


def _keyed(digest: str, key: bytes) -> tuple[Callable[[], _Hashing], Callable[[], _Hashing]]:
    """Begin HMAC (RFC 2104) once for a key: give what copies the inner hash, and the outer one for its result.

    Two copies of hashes that have taken in the key cost half of what one copy of an HMAC object does.
    """
    made = _HASHES[digest]
    if len(key) > _BLOCK_BYTES[digest]:
        long = made()
        long.update(key)
        key = long.digest()
    padded = key.ljust(_BLOCK_BYTES[digest], b"\0")
    inner, outer = made(), made()
    inner.update(padded.translate(_INNER))
    outer.update(padded.translate(_OUTER))
    return inner.copy, outer.copy
