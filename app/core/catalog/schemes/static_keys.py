"""SendGrid (ECDSA), Wise and Kick (RSA): the secrets of a source are public keys, which the provider shows once.

SendGrid: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
Wise: https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling
Kick: https://docs.kick.com/events/webhook-security
"""

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jwks import usable
from app.core.catalog.schemes.keys import as_rsa, ecdsa_verifies, first, p256, rsa, rsa_verifies
from app.core.catalog.schemes.mac import required, secrets_of
from app.core.catalog.schemes.reading import header, unbase64
from app.core.catalog.schemes.refused import proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, rfc3339, seconds

SENDGRID = (b"x-twilio-email-event-webhook-signature", b"x-twilio-email-event-webhook-timestamp")
WISE = b"x-signature-sha256"
KICK = (b"kick-event-message-id", b"kick-event-message-timestamp", b"kick-event-signature")
KICK_KEY = "https://api.kick.com/public/v1/public-key"


def sendgrid(credentials: Credentials, freshness: Freshness) -> Verifier:
    """ECDSA on P-256 with SHA-256, DER in base64, over time and body."""
    keys = [p256(secret) for secret in secrets_of(credentials)]

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        given = unbase64(header(request, SENDGRID[0]), SENDGRID[0].decode())
        timestamp = header(request, SENDGRID[1], "timestamp_missing")
        signed = sendgrid_text(timestamp, request.body)
        number = first(keys, lambda key: ecdsa_verifies(key, given, signed))
        required(number, len(keys), SENDGRID[0].decode(), "time and body")
        refuse_if(judge(freshness, now, SENDGRID[1].decode(), seconds, timestamp))
        return proved("ecdsa-sha256", number)

    return refusing(verify)


def sendgrid_text(timestamp: bytes, body: bytes) -> bytes:
    """Give what SendGrid signs."""
    return timestamp + body


def wise(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """RSA (PKCS#1 v1.5) with SHA-256, base64, over the body."""
    keys = [rsa(secret) for secret in secrets_of(credentials)]

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = unbase64(header(request, WISE), "x-signature-sha256")
        number = first(keys, lambda key: rsa_verifies(key, given, request.body))
        required(number, len(keys), "x-signature-sha256", "the body")
        return proved("rsa-sha256", number)

    return refusing(verify)


def kick(credentials: Credentials, freshness: Freshness) -> Verifier:
    """RSA (PKCS#1 v1.5) with SHA-256, base64, over id, time and body; without a secret the published key is fetched."""
    pinned = [rsa(secret) for secret in credentials.secrets]
    fetched = credentials.keys.get(KICK_KEY)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        given = unbase64(header(request, KICK[2]), "kick-event-signature")
        message_id, timestamp = header(request, KICK[0]), header(request, KICK[1], "timestamp_missing")
        signed = kick_text(message_id, timestamp, request.body)
        if not pinned and fetched is None:
            return KeyWanted(KICK_KEY)
        keys = pinned or [usable(fetched or b"", as_rsa)]
        number = first(keys, lambda key: rsa_verifies(key, given, signed))
        required(number, len(keys), "kick-event-signature", "id, time and body")
        refuse_if(judge(freshness, now, "kick-event-message-timestamp", rfc3339, timestamp))
        return proved("rsa-sha256", number)

    return refusing(verify)


def kick_text(message_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """Give what Kick signs."""
    return b".".join((message_id, timestamp, body))
