"""PayPal: id, time, webhook id and the CRC-32 of the body, signed with the key of a certificate.

Whoever holds one delivery can make another body with the same CRC-32: the body is covered in part only.
https://developer.paypal.com/api/rest/webhooks/rest/#link-messagesignature
"""

import re
from zlib import crc32

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import allowed
from app.core.catalog.schemes.jwks import usable
from app.core.catalog.schemes.keys import as_rsa, rsa, rsa_verifies
from app.core.catalog.schemes.mac import required, setting
from app.core.catalog.schemes.reading import header, unbase64
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, rfc3339

TRANSMISSION_ID, TRANSMISSION_TIME = b"paypal-transmission-id", b"paypal-transmission-time"
SIGNATURE, ALGORITHM, CERTIFICATE_URL = b"paypal-transmission-sig", b"paypal-auth-algo", b"paypal-cert-url"
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,4}paypal\.com")
_PATH = re.compile(r"/v1/notifications/certs/[A-Za-z0-9_-]{1,128}")


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """RSA (PKCS#1 v1.5) with SHA-256, for the setting `webhook_id`; the setting `cert_pem` pins the certificate."""
    webhook_id = setting(credentials, "webhook_id").encode()
    pinned = credentials.settings.get("cert_pem")
    key = rsa(pinned.encode()) if pinned else None

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        given = unbase64(header(request, SIGNATURE), "paypal-transmission-sig")
        if header(request, ALGORITHM) != b"SHA256withRSA":
            raise Refused("algorithm_refused", "paypal-auth-algo is not SHA256withRSA")
        url = allowed(header(request, CERTIFICATE_URL).decode("latin-1"), _HOST, _PATH, "paypal-cert-url")
        time = header(request, TRANSMISSION_TIME, "timestamp_missing")
        signed = signed_text(header(request, TRANSMISSION_ID), time, webhook_id, request.body)
        if key is None and url not in credentials.keys:
            return KeyWanted(url)
        signer = key or usable(credentials.keys[url], as_rsa)
        matched = int(rsa_verifies(signer, given, signed))
        required(matched, 1, "paypal-transmission-sig", "id, time, webhook_id and the body's CRC-32")
        refuse_if(judge(freshness, now, "paypal-transmission-time", rfc3339, time))
        return proved("rsa-sha256")

    return refusing(verify)


def signed_text(transmission_id: bytes, time: bytes, webhook_id: bytes, body: bytes) -> bytes:
    """Give what PayPal signs."""
    return b"|".join((transmission_id, time, webhook_id, b"%d" % crc32(body)))
