"""A webhook of 1 KB from each of ten providers, signed as the provider's own page says."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from app.core.catalog.proof import SignedRequest
from tests.bench.load import BODY

NOW = 1_700_000_000
"""When each of them was signed and came, in seconds since the epoch."""
URL = "https://hooks.example.com/api/v1/webhooks/bench"
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # good as text, and as Base64
USUAL = {
    "host": "hooks.example.com",
    "user-agent": "bench/1.0",
    "accept": "*/*",
    "accept-encoding": "gzip",
    "content-type": "application/json",
    "content-length": "1024",
}
FORM = urlencode([(f"Field{number:02}", "+4930" + "x" * 46) for number in range(16)]).encode()

Headers = Mapping[str, str]


def _hex(text: bytes) -> str:
    return hmac.digest(SECRET.encode(), text, "sha256").hex()


def _base64(text: bytes, secret: bytes = SECRET.encode(), digest: str = "sha256") -> str:
    return base64.b64encode(hmac.digest(secret, text, digest)).decode()


def _stripe(body: bytes) -> Headers:
    return {"stripe-signature": f"t={NOW},v1={_hex(b'%d.%s' % (NOW, body))}"}


def _github(body: bytes) -> Headers:
    return {"x-github-event": "push", "x-github-delivery": "d-1", "x-hub-signature-256": f"sha256={_hex(body)}"}


def _shopify(body: bytes) -> Headers:
    return {"x-shopify-topic": "orders/create", "x-shopify-hmac-sha256": _base64(body)}


def _slack(body: bytes) -> Headers:
    return {"x-slack-request-timestamp": str(NOW), "x-slack-signature": f"v0={_hex(b'v0:%d:%s' % (NOW, body))}"}


def _svix(body: bytes) -> Headers:
    signature = _base64(b"msg_1.%d.%s" % (NOW, body), base64.b64decode(SECRET))
    return {"svix-id": "msg_1", "svix-timestamp": str(NOW), "svix-signature": f"v1,{signature}"}


def _zoom(body: bytes) -> Headers:
    return {"x-zm-request-timestamp": str(NOW), "x-zm-signature": f"v0={_hex(b'v0:%d:%s' % (NOW, body))}"}


def _square(body: bytes) -> Headers:
    return {"x-square-hmacsha256-signature": _base64(URL.encode() + body)}


def _hubspot(body: bytes) -> Headers:
    milliseconds = NOW * 1000
    signature = _base64(b"POST%s%s%d" % (URL.encode(), body, milliseconds))
    return {"x-hubspot-request-timestamp": str(milliseconds), "x-hubspot-signature-v3": signature}


def _twilio(body: bytes) -> Headers:
    fields = sorted(parse_qsl(body.decode()))
    text = URL + "".join(name + value for name, value in fields)
    return {"x-twilio-signature": _base64(text.encode(), digest="sha1")}


def _mailgun(token: str) -> bytes:
    """The signature stands in the body, and speaks for the time and a token."""
    proof = {"timestamp": str(NOW), "token": token, "signature": _hex(f"{NOW}{token}".encode())}
    return json.dumps(
        {"signature": proof, "event-data": {"event": "delivered", "id": "e-1", "note": "x" * 780}}
    ).encode()


class Sample(NamedTuple):
    """How one provider signs."""

    provider: str
    sign: Callable[[bytes], Headers]
    body: bytes = BODY
    forged_body: bytes = BODY.replace(b"4200", b"4201")
    secret: str = SECRET

    def request(self, *, forged: bool = False) -> SignedRequest:
        """Give it as it comes, or with the signature of another body."""
        headers = USUAL | dict(self.sign(self.body))
        body = self.forged_body if forged else self.body
        return SignedRequest("POST", URL, [(name.encode(), value.encode()) for name, value in headers.items()], body)


SAMPLES = (
    Sample("stripe", _stripe),
    Sample("github", _github),
    Sample("shopify", _shopify),
    Sample("slack", _slack),
    Sample("svix", _svix, secret=f"whsec_{SECRET}"),
    Sample("zoom", _zoom),
    Sample("square", _square),
    Sample("hubspot", _hubspot),
    Sample("twilio", _twilio, FORM, FORM.replace(b"4930", b"4931", 1)),
    Sample("mailgun", lambda _: {}, _mailgun("a" * 50), _mailgun("a" * 50).replace(b"aaaaaaaaaa", b"aaaaaaaaab")),
)
