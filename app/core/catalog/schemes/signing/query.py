"""Signing in the URL's query."""

from hashlib import sha256
from urllib.parse import urlencode

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.mac import secrets_of
from app.core.catalog.schemes.signing.written import unix
from app.core.catalog.schemes.wechat import code


def wechat(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Put signature, time and nonce into the query; the nonce is the same for the same body."""
    stamp, nonce = unix(now), sha256(request.body).hexdigest()[:10].encode()
    signed = {"signature": code(secrets_of(credentials)[0], stamp, nonce).hex(), "timestamp": stamp, "nonce": nonce}
    question = "&" if "?" in request.url else "?"
    return request._replace(url=request.url + question + urlencode(signed))
