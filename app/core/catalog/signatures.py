"""Proving a request genuine: pure functions over (scheme, headers, raw body, secrets).

Here is the one declarative scheme; a scheme of another provider is a function of the same shape beside it.
"""

import binascii
import hmac
from collections.abc import Sequence

from app.core.catalog.proof import Genuine, Headers, NotGenuine
from app.core.domain.source import HmacScheme


def verify_hmac(scheme: HmacScheme, headers: Headers, body: bytes, secrets: Sequence[bytes]) -> Genuine | NotGenuine:
    """Check HMAC-SHA256 over the raw body against each secret, in constant time for each.

    Anything may stand in the header; nothing in it makes this raise.
    """
    name = scheme.header.encode()
    values = [value for header, value in headers if header == name]
    if not values or not values[0].strip():
        return NotGenuine("signature_missing", f"no header {scheme.header}")
    if len(values) > 1:
        return NotGenuine("signature_mismatch", f"header {scheme.header} stands {len(values)} times")
    given = _decoded(scheme, values[0].strip())
    if isinstance(given, NotGenuine):
        return given
    matched = 0
    for number, secret in enumerate(secrets, start=1):
        # bytes, because compare_digest raises on text that is not ASCII
        if hmac.compare_digest(hmac.digest(secret, body, "sha256"), given) and not matched:
            matched = number
    if not matched:
        return NotGenuine(
            "signature_mismatch", f"{scheme.header} fits none of the {len(secrets)} secrets over the raw body"
        )
    return Genuine("hmac-sha256" if matched == 1 else f"hmac-sha256#{matched}", matched)


def _decoded(scheme: HmacScheme, value: bytes) -> bytes | NotGenuine:
    prefix = scheme.prefix.encode()
    if not value.startswith(prefix):
        return NotGenuine("signature_mismatch", f"{scheme.header} does not begin with {scheme.prefix}")
    text = value[len(prefix) :]
    try:
        if scheme.encoding == "hex":
            return binascii.unhexlify(text)
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return NotGenuine("signature_mismatch", f"{scheme.header} is not {scheme.encoding} after its prefix")
