"""Adyen's standard notifications: each item carries a signature over eight of its own fields, and no others.

https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures
"""

import binascii
from typing import Any

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import matching, mismatch, secrets_of
from app.core.catalog.schemes.reading import json_object, text, unbase64, utf8
from app.core.catalog.schemes.refused import Refused, proved, refusing

MOST_ITEMS = 1_000
_BEFORE_AMOUNT = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
_AFTER_AMOUNT = ("eventCode", "success")


def prepare(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """HMAC-SHA256 with a key in hexadecimal; one secret must fit every item of the batch."""
    keys = hexadecimal_keys(credentials)

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        signed = [(signed_text(item), given_code(item)) for item in items(json_object(request.body))]
        for number, key in enumerate(keys, start=1):
            if all(matching([key], "sha256", [text], [code]) for text, code in signed):
                return proved("hmac-sha256", number)
        raise mismatch(len(keys), "hmacSignature of an item", "its eight signed fields")

    return refusing(verify)


def hexadecimal_keys(credentials: Credentials) -> list[bytes]:
    """Decode the keys, which Adyen shows in hexadecimal."""
    try:
        return [binascii.unhexlify(secret.strip()) for secret in secrets_of(credentials)]
    except binascii.Error:
        raise ValueError("a secret is not hexadecimal") from None


def items(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Find the items; none at all would be a body that nobody signed."""
    wrapped = body.get("notificationItems")
    if not isinstance(wrapped, list) or not 0 < len(wrapped) <= MOST_ITEMS:
        raise Refused("signature_missing", f"notificationItems is not a list of 1 to {MOST_ITEMS} items")
    found: list[dict[str, Any]] = []
    for wrapper in wrapped:
        item = wrapper.get("NotificationRequestItem") if isinstance(wrapper, dict) else None
        if not isinstance(item, dict):
            raise Refused("signature_malformed", "an item has no NotificationRequestItem")
        found.append(item)
    return found


def given_code(item: dict[str, Any]) -> bytes:
    """Give the code that an item carries."""
    data = item.get("additionalData")
    if not isinstance(data, dict):
        raise Refused("signature_missing", "an item has no additionalData")
    return unbase64(text(data, "hmacSignature", "additionalData"), "hmacSignature of an item")


def signed_text(item: dict[str, Any]) -> bytes:
    """Join the eight fields with colons; nothing in them is escaped."""
    amount = item.get("amount")
    if not isinstance(amount, dict):
        raise Refused("signature_malformed", "an item has no amount")
    amounts = (amount.get("value"), amount.get("currency"))
    fields = (*map(item.get, _BEFORE_AMOUNT), *amounts, *map(item.get, _AFTER_AMOUNT))
    return utf8(":".join(_plain(field) for field in fields), "an item")


def _plain(field: Any) -> str:
    if field is None:
        return ""
    if isinstance(field, bool):
        return "true" if field else "false"
    if isinstance(field, str | int):
        return str(field)
    raise Refused("signature_malformed", "a signed field of an item is neither text nor a whole number")
