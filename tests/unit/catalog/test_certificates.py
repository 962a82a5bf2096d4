"""Keys and certificates in all the ways they are written, and Apple's chain in all the ways it can be wrong."""

import base64
import contextlib
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.proof import Credentials, Freshness, Genuine, NotGenuine, SignedRequest
from app.core.catalog.schemes import SCHEMES, jws
from app.core.catalog.schemes.apple import INTERMEDIATE, LEAF
from app.core.catalog.schemes.keys import ed25519, from_jwk, p256, public_key, rsa
from app.core.catalog.schemes.signing import SIGNERS
from app.core.catalog.schemes.signing.generated import certificate
from app.core.catalog.schemes.signing.private_keys import es256
from tests.unit.catalog.fuzzed import fuzzed
from tests.unit.catalog.samples import NOW, both_sides, signed, unsigned, verdict


def chain(**wrong: Any) -> tuple[Credentials, Credentials]:
    """Make a chain as Apple's, but for what is said."""
    curve = wrong.get("curve", SECP256R1())
    root, middle = (generate_private_key(SECP256R1()) for _ in range(2))
    leaf = generate_private_key(curve)
    issuer = leaf if wrong.get("self_issued") else middle
    certificates = [
        certificate("Leaf", leaf, "Intermediate", issuer, wrong.get("leaf_mark", LEAF)),
        certificate(
            "Intermediate", middle, "Root", root, wrong.get("mark", INTERMEDIATE), authority=wrong.get("ca", True)
        ),
        certificate("Root", root, "Root", root, authority=True),
    ]
    x5c = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in certificates]
    pem = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    bundle = {"bundle_id": "com.example"}
    sent = wrong.get("sent", lambda x5c: x5c)(x5c)
    return Credentials((pem,), {**bundle, "x5c": json.dumps(sent)}), Credentials((), {**bundle, "root_der_b64": x5c[2]})


def code(private: Credentials, public: Credentials) -> str:
    request = SIGNERS["apple_jws"](private, unsigned("apple_jws"), NOW)
    outcome = verdict("apple_jws", request, credentials=public)
    return outcome.code if isinstance(outcome, NotGenuine) else "genuine"


def test_a_chain_from_the_pinned_root_is_believed() -> None:
    assert code(*chain()) == "genuine"


@pytest.mark.parametrize(
    "wrong",
    [
        {"leaf_mark": None},
        {"leaf_mark": INTERMEDIATE},
        {"mark": None},
        {"ca": False},
        {"self_issued": True},
        {"sent": lambda x5c: x5c[:2]},
        {"sent": lambda x5c: [*x5c, x5c[0]]},
        {"sent": lambda x5c: [x5c[1], x5c[0], x5c[2]]},
        {"sent": lambda x5c: [x5c[0], x5c[2], x5c[2]]},
        {"sent": lambda x5c: [x5c[0], x5c[1], "AAAA"]},
        {"sent": lambda x5c: ["%", x5c[1], x5c[2]]},
        {"sent": lambda x5c: [1, 2, 3]},
        {"sent": lambda x5c: "x5c"},
    ],
)
def test_a_chain_that_is_not_apples_is_refused(wrong: dict[str, Any]) -> None:
    assert code(*chain(**wrong)) == "certificate_refused"


def signed_part(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).tbs_certificate_bytes


@fuzzed(usually=160)
@given(st.integers(min_value=0), st.sampled_from([0, 1]))
def test_one_changed_bit_of_a_certificate_raises_nothing_and_makes_no_other_leaf(bit: int, which: int) -> None:
    """The token is signed anew each time, so that it is the chain that is judged."""
    private, public = both_sides("apple_jws")
    x5c = json.loads(private.settings["x5c"])
    original = base64.b64decode(x5c[which])
    content = bytearray(original)
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    x5c[which] = base64.b64encode(content).decode()
    outcome = code(private._replace(settings={**private.settings, "x5c": json.dumps(x5c)}), public)
    if which == 0 and outcome != "certificate_refused":
        # What stands around the signed part may be written in several ways; the leaf is still the very same.
        assert outcome == "genuine"
        assert signed_part(bytes(content)) == signed_part(original)
    pem = b"-----BEGIN CERTIFICATE-----" + x5c[which].encode() + b"-----END CERTIFICATE-----"
    with contextlib.suppress(ValueError):
        public_key(pem)


def test_a_certificate_of_an_unknown_curve_is_refused() -> None:
    private, public = both_sides("apple_jws")
    x5c = json.loads(private.settings["x5c"])
    curve = bytes.fromhex("2a8648ce3d030107")
    for which in (0, 1):
        changed = base64.b64decode(x5c[which]).replace(curve, curve[:-1] + b"\x63")
        sent = [*x5c[:which], base64.b64encode(changed).decode(), *x5c[which + 1 :]]
        other = private._replace(settings={**private.settings, "x5c": json.dumps(sent)})
        assert code(other, public) == "certificate_refused"


def test_a_key_on_another_curve_is_refused() -> None:
    private, public = chain(curve=SECP384R1())
    es256, _ = chain()
    # Signed with some key on P-256, under a leaf that has another: the leaf is looked at first.
    assert code(private._replace(secrets=es256.secrets), public) == "certificate_refused"


def test_apples_own_root_counts_where_none_is_pinned() -> None:
    private, _ = chain()
    assert code(private, Credentials((), {"bundle_id": "com.example"})) == "certificate_refused"


def test_a_notification_is_of_one_app_and_environment() -> None:
    private, public = both_sides("apple_jws")
    for name, value in (("bundle_id", "com.other"), ("environment", "Production")):
        assert code(private, public._replace(settings={**public.settings, name: value})) == "claim_mismatch"
    sandbox = public._replace(settings={**public.settings, "environment": "Sandbox"})
    assert code(private, sandbox) == "genuine"


def test_a_root_that_is_none_is_no_configuration() -> None:
    for root in ("AAAA", "%"):
        with pytest.raises(ValueError, match="root_der_b64"):
            SCHEMES["apple_jws"](Credentials((), {"bundle_id": "x", "root_der_b64": root}), Freshness())


def test_a_public_key_may_be_written_in_many_ways() -> None:
    (pem,) = both_sides("wise")[1].secrets
    (spki,) = both_sides("sendgrid")[1].secrets
    (hexadecimal,) = both_sides("discord")[1].secrets
    raw = bytes.fromhex(hexadecimal.decode())
    for text in (pem, pem.replace(b"\n", b""), pem.replace(b"\n", b"\\n"), b"\n" + pem + b"\n"):
        assert rsa(text) == rsa(pem)
    assert p256(b"-----BEGIN PUBLIC KEY-----\n" + spki + b"\n-----END PUBLIC KEY-----") == p256(spki)
    assert ed25519(base64.b64encode(raw)) == ed25519(hexadecimal.upper()) == ed25519(hexadecimal)
    (certified,) = both_sides("sns")[1].secrets
    assert rsa(certified) == x509.load_pem_x509_certificate(certified).public_key()


@pytest.mark.parametrize("text", [b"", b"%", b"AAAA", b"-----BEGIN PUBLIC KEY-----", b"\xff", b"0" * 63, b"[" * 5_000])
def test_what_is_no_key_is_a_value_error(text: bytes) -> None:
    for read in (rsa, p256, ed25519, public_key):
        with pytest.raises(ValueError, match="this "):
            read(text)


def test_a_key_of_another_kind_is_no_configuration() -> None:
    (rsa_pem,) = both_sides("wise")[1].secrets
    (spki,) = both_sides("sendgrid")[1].secrets
    for scheme, key in (("wise", spki), ("sendgrid", rsa_pem), ("discord", rsa_pem), ("sns", spki)):
        with pytest.raises(ValueError, match="this is not"):
            SCHEMES[scheme](Credentials((key,)), Freshness())


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "A" * 5_000, "e": "AQAB"},
        {"kty": "RSA", "n": "%", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": 1},
    ],
)
def test_a_json_web_key_that_is_none_is_a_value_error(jwk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_jwk(jwk)


def test_v1a_is_found_among_other_signatures_and_under_either_name() -> None:
    request = signed("standardwebhooks_v1a")
    renamed = tuple((name.replace(b"webhook-", b"svix-"), value) for name, value in request.headers)
    assert isinstance(verdict("standardwebhooks_v1a", request._replace(headers=renamed)), Genuine)
    good = request.values(b"webhook-signature")[0]
    for value, genuine in (
        (b"v1,AAAA " + good, True),
        (b"v1a,AAAA " + good, True),
        (b"v1,AAAA", False),
        (b" ".join([b"v1a,AAAA"] * 17), False),
        (b"v1a,%", False),
        (good.replace(b"v1a", b"v1"), False),
    ):
        headers = tuple((n, value if n == b"webhook-signature" else v) for n, v in request.headers)
        assert isinstance(verdict("standardwebhooks_v1a", request._replace(headers=headers)), Genuine) == genuine


@pytest.mark.parametrize("about", ["data", "summary", "externalPurchaseToken", "appData"])
def test_a_notification_of_apple_says_in_one_of_four_places_what_app_it_is_about(about: str) -> None:
    private, public = both_sides("apple_jws")
    payload = {about: {"bundleId": "com.example"}, "signedDate": int(NOW * 1_000)}
    token = jws.compact({"alg": "ES256", "x5c": json.loads(private.settings["x5c"])}, payload, es256(private))
    request = SignedRequest("POST", "", (), json.dumps({"signedPayload": token.decode()}).encode())
    assert isinstance(verdict("apple_jws", request, credentials=public), Genuine)
