"""Amazon SNS: some fields of the message, in order of their names, signed with the key of a certificate.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import re
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import allowed
from app.core.catalog.schemes.jwks import usable
from app.core.catalog.schemes.keys import as_rsa, first, rsa, rsa_verifies
from app.core.catalog.schemes.mac import required
from app.core.catalog.schemes.reading import json_object, text, unbase64
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, rfc3339

HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?")
SUBSCRIBE_PATH = re.compile(r"/\?Action=ConfirmSubscription&[A-Za-z0-9&=%:._~-]{1,1900}")
_CERTIFICATE_PATH = re.compile(r"/[A-Za-z0-9_-]{1,128}\.pem")
_DIGESTS = {b"1": SHA1, b"2": SHA256}
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    b"Notification": _NOTIFICATION,
    b"SubscriptionConfirmation": _CONFIRMATION,
    b"UnsubscribeConfirmation": _CONFIRMATION,
}


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """RSA (PKCS#1 v1.5) with SHA-1 or SHA-256, as `SignatureVersion` says.

    The secrets are pinned certificates; without one, the certificate is fetched from where the message says, if that is
    SNS. The setting `topic_arn` (several with a blank between) names the topics that count: without it, whoever has an
    account at AWS can send genuine messages of a topic of their own.
    """
    pinned = [rsa(secret) for secret in credentials.secrets]
    topics = credentials.settings.get("topic_arn", "").encode().split()

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        message = json_object(request.body)
        url = certificate_url(message)
        digest = _DIGESTS.get(text(message, "SignatureVersion", "the message"))
        if digest is None:
            raise Refused("algorithm_refused", "SignatureVersion is neither 1 nor 2")
        given = unbase64(text(message, "Signature", "the message"), "Signature")
        signed = signed_text(message)
        if topics and text(message, "TopicArn", "the message") not in topics:
            raise Refused("claim_mismatch", "the message is of a topic that topic_arn does not name")
        if not pinned and url not in credentials.keys:
            return KeyWanted(url)
        keys = pinned or [usable(credentials.keys[url], as_rsa)]
        number = first(keys, lambda key: rsa_verifies(key, given, signed, digest()))
        required(number, len(keys), "Signature", "the signed fields of the message")
        refuse_if(judge(freshness, now, "Timestamp of the message", rfc3339, text(message, "Timestamp", "the message")))
        return proved(f"rsa-{digest.name}", number)

    return refusing(verify)


def certificate_url(message: dict[str, Any]) -> str:
    """Give the certificate's address, if it is one of SNS; also where a certificate is pinned."""
    url = text(message, "SigningCertURL", "the message").decode()
    return allowed(url, HOST, _CERTIFICATE_PATH, "SigningCertURL")


def signed_text(message: dict[str, Any]) -> bytes:
    """Write the signed fields: each name and each value on a line of its own; a missing Subject is left out."""
    names = _SIGNED.get(text(message, "Type", "the message"))
    if names is None:
        raise Refused("signature_malformed", "Type of the message is not known")
    lines: list[bytes] = []
    for name in names:
        if name == "Subject" and message.get(name) is None:
            continue
        value = message.get(name)
        # An empty Subject or Message is signed as an empty line.
        lines += name.encode(), b"" if value == "" else text(message, name, "the message")
    return b"".join(line + b"\n" for line in lines)
