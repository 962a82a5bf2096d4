"""Keys that stand at the provider: asked for at its own addresses only, and believed when they come."""

import json

import pytest

from app.core.catalog.proof import Credentials, Freshness, Genuine, KeyWanted, NotGenuine, SignedRequest, Verdict
from app.core.catalog.schemes import SCHEMES
from app.core.catalog.schemes.oidc import CHAT_KEYS, GOOGLE_KEYS
from app.core.catalog.schemes.reading import json_object
from app.core.catalog.schemes.signing import SIGNERS
from app.core.catalog.schemes.signing.generated import chat_key, ebay_key, plaid_key
from app.core.catalog.schemes.signing.public_keys import PAYPAL_CERTIFICATE, SNS_CERTIFICATE
from tests.unit.catalog.samples import NOW, both_sides, signed, unsigned, verdict, with_json


def code(outcome: Verdict) -> str:
    assert isinstance(outcome, NotGenuine), outcome
    return outcome.code


def test_sns_asks_for_the_certificate_that_the_message_names() -> None:
    (pinned,) = both_sides("sns")[1].secrets
    request = signed("sns")
    assert verdict("sns", request, credentials=Credentials()) == KeyWanted(SNS_CERTIFICATE)
    assert isinstance(verdict("sns", request, credentials=Credentials(keys={SNS_CERTIFICATE: pinned})), Genuine)
    broken = Credentials(keys={SNS_CERTIFICATE: b"<html>"})
    assert code(verdict("sns", request, credentials=broken)) == "key_unknown"


HOSTILE_CERTIFICATES = [
    "http://sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
    "https://sns.us-east-1.amazonaws.com@evil.example/a.pem",
    "https://evil.example/sns.us-east-1.amazonaws.com/a.pem",
    "https://evil.example\\@sns.us-east-1.amazonaws.com/a.pem",
    "https://user@sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com:8443/a.pem",
    "https://sns.us-east-1.amazonaws.com/a.pem?x=1",
    "https://sns.us-east-1.amazonaws.com/a.pem#x",
    "https://sns.us-east-1.amazonaws.com/../a.pem",
    "https://sns.us-east-1.amazonaws.com/a.pem/",
    "https://sns.us-east-1.amazonaws.com/a.txt",
    "https://sns.amazonaws.com/a.pem",
    "https://sns.x.amazonaws.com/a.pem",
    "https://snsaus-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonawsxcom/a.pem",
    "https://SNS.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com\n.evil.example/a.pem",
    "https://sns.us-east-1.amazonaws.com/a.pem\n",
    "https://ѕns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com/" + "a" * 4_000 + ".pem",
]


@pytest.mark.parametrize("url", HOSTILE_CERTIFICATES)
def test_sns_is_asked_for_certificates_at_no_other_address(url: str) -> None:
    """Neither to fetch it, nor where one is pinned."""
    request = with_json(signed("sns"), SigningCertURL=url)
    assert code(verdict("sns", request, credentials=Credentials())) in {"key_url_refused", "signature_malformed"}
    assert isinstance(verdict("sns", request), NotGenuine)


@pytest.mark.parametrize("region", ["us-gov-west-1", "eu-central-2", "ap-southeast-1"])
def test_every_region_of_sns_has_its_certificates(region: str) -> None:
    url = f"https://sns.{region}.amazonaws.com/SimpleNotificationService-0123.pem"
    assert verdict("sns", with_json(signed("sns"), SigningCertURL=url), credentials=Credentials()) == KeyWanted(url)
    china = "https://sns.cn-north-1.amazonaws.com.cn/a.pem"
    assert verdict("sns", with_json(signed("sns"), SigningCertURL=china), credentials=Credentials()) == KeyWanted(china)


def test_a_genuine_message_of_somebody_elses_topic_is_refused() -> None:
    ours = str(json_object(signed("sns").body)["TopicArn"])
    pinned = both_sides("sns")[1]
    assert isinstance(verdict("sns", signed("sns"), credentials=pinned._replace(settings={"topic_arn": ours})), Genuine)
    other = pinned._replace(settings={"topic_arn": ours + "x arn:aws:sns:us-east-2:1:y"})
    assert code(verdict("sns", signed("sns"), credentials=other)) == "claim_mismatch"


def test_paypal_asks_for_the_certificate_that_the_header_names() -> None:
    settings = both_sides("paypal")[1].settings
    bare = Credentials((), {"webhook_id": settings["webhook_id"]})
    url = PAYPAL_CERTIFICATE.decode()
    assert verdict("paypal", signed("paypal"), credentials=bare) == KeyWanted(url)
    fetched = bare._replace(keys={url: settings["cert_pem"].encode()})
    assert isinstance(verdict("paypal", signed("paypal"), credentials=fetched), Genuine)


@pytest.mark.parametrize(
    "url",
    [
        b"http://api.paypal.com/v1/notifications/certs/CERT-1",
        b"https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        b"https://evilpaypal.com/v1/notifications/certs/CERT-1",
        b"https://paypal.com/v1/notifications/certs/CERT-1",
        b"https://api.paypal.com:444/v1/notifications/certs/CERT-1",
        b"https://a@api.paypal.com/v1/notifications/certs/CERT-1",
        b"https://api.paypal.com/redirect?to=/v1/notifications/certs/CERT-1",
        b"https://api.paypal.com/v1/notifications/certs/../CERT-1",
        b"https://api.paypal.com/v1/notifications/certs/CERT-1?x",
        b"https://api.paypal.com/v1/notifications/certs/\xff",
        b"https://-.paypal.com/v1/notifications/certs/CERT-1",
    ],
)
def test_paypal_is_asked_for_certificates_at_no_other_address(url: bytes) -> None:
    request = signed("paypal")
    changed = request._replace(headers=tuple((n, url if n == b"paypal-cert-url" else v) for n, v in request.headers))
    for credentials in (both_sides("paypal")[1], Credentials((), {"webhook_id": "x"})):
        assert code(verdict("paypal", changed, credentials=credentials)) == "key_url_refused"


def test_ebay_asks_for_the_key_that_the_header_names() -> None:
    private, public = ebay_key()
    request = SIGNERS["ebay"](private, unsigned("ebay"), NOW)
    url = "https://api.sandbox.ebay.com/commerce/notification/v1/public_key/generated"
    sandbox = Credentials((), {"environment": "sandbox"})
    assert verdict("ebay", request, credentials=sandbox) == KeyWanted(url)
    document = public.keys["kid:generated"]
    assert isinstance(verdict("ebay", request, credentials=sandbox._replace(keys={url: document})), Genuine)
    pinned = Credentials((str(json.loads(document)["key"]).encode(),))
    assert isinstance(verdict("ebay", request, credentials=pinned), Genuine)
    with pytest.raises(ValueError, match="environment"):
        SCHEMES["ebay"](Credentials((), {"environment": "evil.example/"}), Freshness())


def test_plaid_asks_for_the_key_that_the_token_names() -> None:
    private, public = plaid_key()
    request = SIGNERS["plaid"](private, unsigned("plaid"), NOW)
    url = "https://production.plaid.com/webhook_verification_key/get?key_id=generated"
    assert verdict("plaid", request, credentials=Credentials()) == KeyWanted(url)
    answered = json.dumps({"key": json.loads(public.keys["kid:generated"]), "request_id": "x"}).encode()
    assert isinstance(verdict("plaid", request, credentials=Credentials(keys={url: answered})), Genuine)


@pytest.mark.parametrize("kid", ["../x", "a/b", "a?b", "a#b", "a b", "é", "x" * 129])
def test_no_key_id_leads_elsewhere(kid: str) -> None:
    request = SIGNERS["plaid"](plaid_key().private._replace(settings={"kid": kid}), unsigned("plaid"), NOW)
    assert code(verdict("plaid", request, credentials=Credentials())) == "key_unknown"


def test_google_asks_for_its_keys_only_for_a_token_that_is_meant_for_us() -> None:
    settings = dict(both_sides("google_oidc")[1].settings)
    keys = settings.pop("jwks")
    bare = Credentials((), settings)
    assert verdict("google_oidc", signed("google_oidc"), credentials=bare) == KeyWanted(GOOGLE_KEYS)
    fetched = bare._replace(keys={GOOGLE_KEYS: keys.encode()})
    assert isinstance(verdict("google_oidc", signed("google_oidc"), credentials=fetched), Genuine)
    for name in ("audience", "email"):
        other = Credentials((), {**settings, name: "other"})
        assert code(verdict("google_oidc", signed("google_oidc"), credentials=other)) == "claim_mismatch"
        with pytest.raises(ValueError, match=name):
            SCHEMES["google_oidc"](Credentials((), {**settings, name: ""}), Freshness())
    garbage = bare._replace(keys={GOOGLE_KEYS: b"<html>"})
    assert code(verdict("google_oidc", signed("google_oidc"), credentials=garbage)) == "key_unknown"


def test_google_chat_signs_by_its_own_account_for_a_project_number() -> None:
    private, public = chat_key()
    number = {"audience": "1234567890"}
    request = SIGNERS["google_chat"](
        private._replace(settings={**private.settings, **number}), unsigned("google_chat"), NOW
    )
    credentials = Credentials((), {**number, "jwks": public.settings["jwks"]})
    assert isinstance(verdict("google_chat", request, credentials=credentials), Genuine)
    assert verdict("google_chat", request, credentials=Credentials((), number)) == KeyWanted(CHAT_KEYS)
    assert code(verdict("google_chat", signed("google_chat"), credentials=credentials)) == "claim_mismatch"


@pytest.mark.parametrize(("scheme", "host"), [("fal", "rest.fal.ai"), ("kick", "api.kick.com")])
def test_without_a_pinned_key_the_published_one_is_asked_for(scheme: str, host: str) -> None:
    outcome = verdict(scheme, signed(scheme), credentials=Credentials())
    assert isinstance(outcome, KeyWanted)
    assert outcome.url.startswith(f"https://{host}/")


def test_kick_publishes_its_key_in_json() -> None:
    wanted = verdict("kick", signed("kick"), credentials=Credentials())
    assert isinstance(wanted, KeyWanted)
    (pem,) = both_sides("kick")[1].secrets
    document = json.dumps({"data": {"public_key": pem.decode()}}).encode()
    assert isinstance(verdict("kick", signed("kick"), credentials=Credentials(keys={wanted.url: document})), Genuine)


def test_a_request_without_a_signature_has_nothing_fetched() -> None:
    for scheme in ("sns", "paypal", "ebay", "plaid", "google_oidc", "google_chat", "fal", "kick"):
        settings = {"webhook_id": "x", "audience": "x", "email": "x"}
        outcome = verdict(scheme, SignedRequest("POST", "", (), b"{}"), credentials=Credentials((), settings))
        assert isinstance(outcome, NotGenuine), scheme
