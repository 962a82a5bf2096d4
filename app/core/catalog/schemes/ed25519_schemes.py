"""Discord, Standard Webhooks `v1a` and fal.ai sign with Ed25519: the secrets of a source are public keys.

Discord: https://docs.discord.com/developers/interactions/receiving-and-responding
Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
fal.ai: https://docs.fal.ai/model-apis/webhooks
"""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jwks import KeySet, key_set
from app.core.catalog.schemes.keys import ed25519, ed25519_verifies, first
from app.core.catalog.schemes.mac import required, secrets_of
from app.core.catalog.schemes.reading import header, optional_header, unbase64, unhex
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, seconds

DISCORD = (b"x-signature-ed25519", b"x-signature-timestamp")
STANDARD = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
SVIX = (b"svix-id", b"svix-timestamp", b"svix-signature")
FAL_SIGNATURE = b"x-fal-webhook-signature"
FAL_SIGNED = (b"x-fal-webhook-request-id", b"x-fal-webhook-user-id", b"x-fal-webhook-timestamp")
FAL_KEYS = "https://rest.fal.ai/.well-known/jwks.json"
KEY_PREFIX = b"whpk_"
MOST_SIGNATURES = 16
"""An Ed25519 check costs a hundred times an HMAC: so many of a header's list are looked at."""


def discord(credentials: Credentials, freshness: Freshness) -> Verifier:
    """Ed25519 in hexadecimal over time and body."""
    keys = [ed25519(secret) for secret in secrets_of(credentials)]

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        given = unhex(header(request, DISCORD[0]), "x-signature-ed25519")
        timestamp = header(request, DISCORD[1], "timestamp_missing")
        signed = discord_text(timestamp, request.body)
        number = first(keys, lambda key: ed25519_verifies(key, given, signed))
        required(number, len(keys), "x-signature-ed25519", "x-signature-timestamp and body")
        refuse_if(judge(freshness, now, "x-signature-timestamp", seconds, timestamp))
        return proved("ed25519", number)

    return refusing(verify)


def discord_text(timestamp: bytes, body: bytes) -> bytes:
    """Give what Discord signs."""
    return timestamp + body


def standardwebhooks_v1a(credentials: Credentials, freshness: Freshness) -> Verifier:
    """Ed25519 in base64 over id, time and body; what stands beside it in the header's list is passed over."""
    keys = [ed25519(secret.strip().removeprefix(KEY_PREFIX)) for secret in secrets_of(credentials)]

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        names = SVIX if optional_header(request, SVIX[2]) else STANDARD
        name = names[2].decode()
        entries = header(request, names[2]).split()
        given = [unbase64(entry[4:], name) for entry in entries[:MOST_SIGNATURES] if entry.startswith(b"v1a,")]
        if not given or len(entries) > MOST_SIGNATURES:
            raise Refused("signature_missing", f"{name} has no v1a among 1 to {MOST_SIGNATURES} signatures")
        message_id, timestamp = header(request, names[0]), header(request, names[1], "timestamp_missing")
        signed = standard_text(message_id, timestamp, request.body)
        number = first(keys, lambda key: any(ed25519_verifies(key, each, signed) for each in given))
        required(number, len(keys), name, "id, time and body")
        refuse_if(judge(freshness, now, names[1].decode(), seconds, timestamp))
        return proved("ed25519", number)

    return refusing(verify)


def standard_text(message_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """Give what Standard Webhooks sign."""
    return b".".join((message_id, timestamp, body))


def fal(credentials: Credentials, freshness: Freshness) -> Verifier:
    """Ed25519 in hexadecimal over request id, user id, time and the body's hash; any published key may have signed."""
    pinned = [ed25519(secret) for secret in credentials.secrets]
    published = key_set(credentials, FAL_KEYS)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        given = unhex(header(request, FAL_SIGNATURE), "x-fal-webhook-signature")
        signed = fal_text([header(request, name) for name in FAL_SIGNED], request.body)
        if not pinned and published is None:
            return KeyWanted(FAL_KEYS)
        keys = pinned or _ed25519_of(published)
        number = first(keys, lambda key: ed25519_verifies(key, given, signed))
        required(number, len(keys), "x-fal-webhook-signature", "ids, time and the body's hash")
        refuse_if(judge(freshness, now, "x-fal-webhook-timestamp", seconds, header(request, FAL_SIGNED[2])))
        return proved("ed25519", number)

    return refusing(verify)


def fal_text(values: list[bytes], body: bytes) -> bytes:
    """Give what fal.ai signs: request id, user id, time and the body's hash, one a line."""
    return b"\n".join((*values, sha256(body).hexdigest().encode()))


def _ed25519_of(published: KeySet | None) -> list[Ed25519PublicKey]:
    return [key for key in published.all() if isinstance(key, Ed25519PublicKey)] if published else []
