"""All of them. An end-to-end test takes `SENDING` and `delivery`, and knows nothing of any library."""

import time
from typing import NamedTuple

from app.core.catalog.proof import Credentials, SignedRequest
from tests.senders import messages, payments, platforms
from tests.senders.sender import Sender

SENDERS: tuple[Sender, ...] = (*payments.SENDERS, *messages.SENDERS, *platforms.SENDERS)
SENDING = tuple(sender for sender in SENDERS if sender.sign)


class Delivery(NamedTuple):
    """What a library sends, and what the source must know of it."""

    provider: str
    scheme: str
    credentials: Credentials
    request: SignedRequest


def delivery(sender: Sender, url: str) -> Delivery:
    """Let a library sign a request to a URL, now. The URL must be the source's `public_url`: some sign it."""
    assert sender.sign is not None, f"{sender.package} only verifies"
    keys = sender.keys()
    request = sender.sign(keys.private, sender.unsigned._replace(url=url), time.time())
    return Delivery(sender.provider, sender.scheme, keys.public, request)
