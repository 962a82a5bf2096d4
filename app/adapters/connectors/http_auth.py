"""How calls by HTTP prove whom they come from, in the words of the catalogue, whose signing does the work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from app.core.catalog.catalogue import find
from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.provider import Digest, Encoding, Mac, Scheme, SharedSecret, Timestamp
from app.core.catalog.signing import sign
from app.core.catalog.template import compile_template
from app.core.domain.connector import Json
from app.core.domain.document import Part
from app.core.domain.errors import Fault, Invalid
from app.core.domain.request_grammar import read_header_name

SECRETS = {
    "password": "the password, for auth of the kind basic",
    "token": "the token, for auth of the kinds bearer and header",
    "hmac_key": "the key that signs, for auth of the kind hmac",
    "signing": "the secret that signs deliveries (whsec_…), for the action deliver",
}

_AUTHORIZATION = ("authorization",)
_NAME = {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"}


def _kind(kind: str, required: list[str], **properties: Json) -> Json:
    return {
        "type": "object",
        "properties": {"kind": {"const": kind}, **properties},
        "required": ["kind", *required],
        "additionalProperties": False,
    }


AUTH_SCHEMA: Mapping[str, Json] = {
    "description": "How calls prove whom they come from; what is secret is given as a secret",
    "oneOf": [
        _kind("basic", ["username"], username={"type": "string", "pattern": "^[^:]+$"}),
        _kind("bearer", []),
        _kind("header", ["name"], name=_NAME, prefix={"type": "string"}),
        _kind(
            "hmac",
            ["header"],
            header=_NAME,
            template={"type": "string", "description": "What is signed: {body}, {ts}.{body}, {method}{url}{body}"},
            digest={"enum": [*get_args(Digest)]},
            encoding={"enum": [*get_args(Encoding)]},
            prefix={"type": "string"},
            timestamp_header=_NAME,
        ),
    ],
}
_KEYS: Mapping[str, tuple[str, ...]] = {
    kind["properties"]["kind"]["const"]: tuple(kind["properties"]) for kind in AUTH_SCHEMA["oneOf"]
}


@dataclass(frozen=True, slots=True)
class Auth:
    """One way to prove a call, and the secret that it takes."""

    proof: Mac | SharedSecret
    secret: str
    before: str = ""
    """What stands before the secret: a user's name and a colon, or a prefix."""

    def proved(self, request: SignedRequest, secrets: Mapping[str, bytes], now: float) -> SignedRequest:
        """Give the request with its proof. Raises `Invalid` where the secret is missing or cannot be used."""
        shown = self.before.encode() + _secret(secrets, self.secret)
        return _signed(Scheme("auth", self.proof), shown, self.secret, request, now)

    def shown(self, secrets: Mapping[str, bytes]) -> bytes:
        """Give what a request shows of the secret, before it is encoded in any way."""
        return self.before.encode() + secrets.get(self.secret, b"")


def read_auth(part: Part) -> Auth | None:
    """Read how calls prove themselves; None where it cannot be, which is noted."""
    kind = part.value.get("kind") if isinstance(part.value, dict) else None
    if not isinstance(kind, str) or kind not in _KEYS:
        part.fault(f"must say its kind, one of {', '.join(_KEYS)}: {{kind: bearer}}")
        return None
    parts = part.mapping(_KEYS[kind]) or {}
    missing = Part(None, part.path, part.findings)
    if kind == "basic":
        name = parts.get("username", missing).text("the name of the user") or ""
        if ":" in name:
            part.fault("must have no colon", "username")
        return Auth(SharedSecret("basic", _AUTHORIZATION), "password", f"{name}:")
    if kind == "bearer":
        return Auth(SharedSecret("bearer", _AUTHORIZATION), "token")
    if kind == "header":
        header = read_header_name(parts.get("name", missing)) or ""
        return Auth(SharedSecret("header", (header,)), "token", _text(parts, "prefix"))
    return _hmac(parts, missing)


def sign_delivery(request: SignedRequest, secrets: Mapping[str, bytes], now: float) -> SignedRequest:
    """Sign as Standard Webhooks has it; the request's `webhook-id` is kept. Raises `Invalid` as `Auth.proved`."""
    provider = find("standardwebhooks")
    if provider is None:
        raise AssertionError("the catalogue has Standard Webhooks")
    return _signed(provider.schemes[0], _secret(secrets, "signing"), "signing", request, now)


def _hmac(parts: dict[str, Part], missing: Part) -> Auth:
    header = read_header_name(parts.get("header", missing)) or ""
    stamp = read_header_name(parts["timestamp_header"]) if "timestamp_header" in parts else None
    template = _text(parts, "template") or ("{ts}.{body}" if stamp else "{body}")
    try:
        if compile_template(template).has_timestamp != bool(stamp):
            missing.fault("{ts} in the template and timestamp_header go together")
    except ValueError as error:
        missing.fault(str(error))
    mac = Mac(
        headers=(header,),
        template=template,
        digest=cast("Digest", _one_of(parts, "digest", get_args(Digest), "sha256")),
        encoding=cast("Encoding", _one_of(parts, "encoding", get_args(Encoding), "hex")),
        prefixes=(_text(parts, "prefix"),),
        timestamp=Timestamp("header", stamp, "s") if stamp else None,
    )
    return Auth(mac, "hmac_key")


def _text(parts: dict[str, Part], name: str) -> str:
    return parts[name].text("any text") or "" if name in parts else ""


def _one_of(parts: dict[str, Part], name: str, known: tuple[str, ...], usual: str) -> str:
    text = _text(parts, name) or usual
    if text not in known:
        parts[name].fault(f"must be one of {', '.join(known)}")
    return text


def _secret(secrets: Mapping[str, bytes], name: str) -> bytes:
    if not (secret := secrets.get(name)):
        raise Invalid([Fault(f"secrets.{name}", f"is missing: {SECRETS[name]}")])
    return secret


def _signed(scheme: Scheme, secret: bytes, name: str, request: SignedRequest, now: float) -> SignedRequest:
    try:
        return sign(scheme, Credentials((secret,)), request, now)
    except ValueError as error:  # its texts quote no secret
        raise Invalid([Fault(f"secrets.{name}", str(error))]) from None
