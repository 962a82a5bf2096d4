"""A shared text within the body: Zulip's and Lark's token. Nothing is signed.

Zulip: https://zulip.com/api/outgoing-webhook-payload
"""

from typing import Any

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import required, same, secrets_of
from app.core.catalog.schemes.reading import json_object, text
from app.core.catalog.schemes.refused import Refused, proved, refusing


def prepare(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """A token in the JSON body, at the setting `token_path` (dots between names; else `token`)."""
    secrets = secrets_of(credentials)
    path = credentials.settings.get("token_path", "token")

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = read_token(request.body, path)
        number = matching_text(secrets, given)
        return proved("token", required(number, len(secrets), f"{path} in the body", "nothing else"))

    return refusing(verify)


def read_token(body: bytes, path: str) -> bytes:
    """Follow the path into the body."""
    found: dict[str, Any] = json_object(body)
    *parents, last = path.split(".")
    for name in parents:
        within = found.get(name)
        if not isinstance(within, dict):
            raise Refused("signature_missing", f"the body has no {path}")
        found = within
    return text(found, last)


def matching_text(secrets: tuple[bytes, ...], given: bytes) -> int:
    """Give the number of the secret that is this very text; 0: none is."""
    return next((number for number, secret in enumerate(secrets, start=1) if same(given, secret)), 0)
