"""Microsoft Graph: a text of the subscription in every notification; rich ones bring tokens of Microsoft beside it.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import re
from typing import Any

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jwks import KeySet, key_set
from app.core.catalog.schemes.jws import Jws, parse
from app.core.catalog.schemes.lifetimes import judge_lifetime
from app.core.catalog.schemes.mac import required, same_text, secrets_of
from app.core.catalog.schemes.oidc import signed_by
from app.core.catalog.schemes.reading import json_object, text, utf8
from app.core.catalog.schemes.refused import Refused, proved, refusing

MICROSOFT_KEYS = "https://login.microsoftonline.com/common/discovery/v2.0/keys"
CHANGE_TRACKING = "0bf30f3b-4a52-48df-9a82-234910c4a086"
"""The application of Microsoft that sends change notifications."""
MOST_ITEMS = 1_000
MOST_TOKENS = 20
_TENANT = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ISSUER = re.compile(rf"https://(?:sts\.windows\.net/({_TENANT})/|login\.microsoftonline\.com/({_TENANT})/v2\.0)")


def prepare(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """The same `clientState` in every notification of the request.

    With the setting `app_id`, what brings data of the resource must also bring `validationTokens` that are good for
    that application (and the setting `tenant_id`, where given).
    """
    secrets = secrets_of(credentials)
    app_id, tenant_id = credentials.settings.get("app_id"), credentials.settings.get("tenant_id")
    keys = key_set(credentials, MICROSOFT_KEYS)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        body = json_object(request.body)
        number = required(_client_state(body, secrets), len(secrets), "clientState", "every notification")
        tokens = _tokens(body, app_id, tenant_id) if app_id else []
        if tokens and keys is None:
            return KeyWanted(MICROSOFT_KEYS)
        for token in tokens:
            signed_by(token, keys or KeySet(b"{}"))
            judge_lifetime(token.payload, now)
        return proved("client-state", number)

    return refusing(verify)


def _client_state(body: dict[str, Any], secrets: tuple[bytes, ...]) -> int:
    states = {text(item, "clientState", "a notification") for item in _items(body)}
    return same_text(secrets, states.pop()) if len(states) == 1 else 0


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    items = body.get("value")
    if not isinstance(items, list) or not 0 < len(items) <= MOST_ITEMS or not all(isinstance(i, dict) for i in items):
        raise Refused("signature_missing", f"value is not a list of 1 to {MOST_ITEMS} notifications")
    return items


def _tokens(body: dict[str, Any], app_id: str, tenant_id: str | None) -> list[Jws]:
    given = body.get("validationTokens") or []
    if not isinstance(given, list) or len(given) > MOST_TOKENS:
        raise Refused("signature_malformed", f"validationTokens is not a list of at most {MOST_TOKENS}")
    if not given and any("encryptedContent" in item for item in _items(body)):
        raise Refused("signature_missing", "notifications with data of the resource come without validationTokens")
    return [_token(each, app_id, tenant_id) for each in given]


def _token(given: Any, app_id: str, tenant_id: str | None) -> Jws:
    if not isinstance(given, str):
        raise Refused("signature_malformed", "one of the validationTokens is no text")
    token = parse(utf8(given, "one of the validationTokens"), "RS256")
    claims = token.payload
    issuer = _ISSUER.fullmatch(claims["iss"]) if isinstance(claims.get("iss"), str) else None
    if issuer is None or (tenant_id and tenant_id not in issuer.groups()):
        raise Refused("claim_mismatch", "one of the validationTokens was not issued by the tenant")
    if claims.get("aud") != app_id or CHANGE_TRACKING not in {claims.get("azp"), claims.get("appid")}:
        raise Refused("claim_mismatch", "one of the validationTokens is meant for another application")
    if "exp" not in claims:
        raise Refused("timestamp_missing", "one of the validationTokens never ends")
    return token
