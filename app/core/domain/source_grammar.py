"""How a source is written in a document, and everything that can be wrong with one."""

import re
from typing import Literal

from app.core.domain.document import Part, kind, shown
from app.core.domain.request_grammar import read_address, read_header_name, read_place, read_rate, read_size
from app.core.domain.secret_grammar import HOW_TO_LIST_SECRETS, SecretFault, read_secrets
from app.core.domain.source import DIGEST, NAME, HmacScheme, Source

KEYS = ("name", "provider", "verify", "delivery_key", "type", "secrets", "body_limit", "limits", "public_url")
LIMIT_KEYS = ("rate",)
LATER = {
    "poll": "polling is not in this version: a source takes webhooks only",
    "scheme": "naming a scheme is not in this version: say how the provider signs with verify: {header: …}",
}
SCHEME_KEYS = ("header", "prefix", "encoding")

HOW_TO_VERIFY = "say how it signs with verify: {header: …}, or verify: none"

_PROVIDER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"(?:[!-~][ -~]{0,63})?")


def read_source(part: Part, secret_fault: SecretFault) -> Source | None:
    """Read one source. Faults go to the part's findings; the source is worth something only when there are none."""
    keys = part.mapping(KEYS, later=LATER)
    if keys is None:
        return None
    name = _name(part, keys.get("name"))
    if isinstance(part.value, dict) and "poll" in part.value:
        return None  # what else a polled source needs is not known yet
    provider = _provider(part, keys.get("provider"))
    verify = _verify(part, keys.get("verify"), provider)
    secrets = _secrets(part, keys.get("secrets"), verify, secret_fault)
    delivery_key = read_place(keys["delivery_key"], digest=True) if "delivery_key" in keys else DIGEST
    type_place = read_place(keys["type"], digest=False) if "type" in keys else None
    body_limit = read_size(keys["body_limit"]) if "body_limit" in keys else None
    rate = _rate(keys["limits"]) if "limits" in keys else None
    public_url = read_address(keys["public_url"]) if "public_url" in keys else None
    if name is None or provider is None or verify is None or delivery_key is None:
        return None
    return Source(
        name=name,
        provider=provider,
        verify=None if verify == "none" else verify,
        secrets=secrets,
        delivery_key=delivery_key,
        type=type_place,
        body_limit_bytes=body_limit,
        rate_per_second=rate,
        public_url=public_url,
    )


def _name(source: Part, part: Part | None) -> str | None:
    if part is None:
        source.fault("is missing: it ends the address, as in /api/v1/webhooks/NAME", "name")
        return None
    text = part.text("name: demo")
    if text is None or NAME.fullmatch(text):
        return text
    part.fault(
        f'"{shown(text)}" cannot be a name: 1 to 63 lower-case letters, digits, hyphens and underscores, '
        "with a letter or digit at both ends"
    )
    return None


def _provider(source: Part, part: Part | None) -> str | None:
    if part is None:
        source.fault("is missing: say who sends here, as in provider: hmac", "provider")
        return None
    text = part.text("provider: hmac")
    if text is None or _PROVIDER.fullmatch(text):
        return text
    part.fault(
        f'"{shown(text)}" cannot be a provider: 1 to 63 lower-case letters, digits and hyphens, '
        "with a letter or digit at both ends"
    )
    return None


def _verify(source: Part, part: Part | None, provider: str | None) -> HmacScheme | Literal["none"] | None:
    if part is None:
        if provider == "hmac":
            source.fault("is missing: provider hmac needs verify: {header: …}", "verify")
        elif provider is not None:
            source.fault(f'"{provider}" is not in the catalogue of this version: {HOW_TO_VERIFY}', "provider")
        return None
    if isinstance(part.value, dict):
        return _scheme(part)
    if part.value != "none":
        # Unsigned requests are taken only when exactly that word was written, never for what looks like it.
        part.fault(f"must be a mapping or the word none, and this is {kind(part.value)}: {HOW_TO_VERIFY}")
        return None
    if provider == "hmac":
        part.fault("provider hmac always signs: give verify: {header: …}, or name another provider")
        return None
    return "none"


def _rate(part: Part) -> float | None:
    keys = part.mapping(LIMIT_KEYS) or {}
    return read_rate(keys["rate"]) if "rate" in keys else None


def _scheme(part: Part) -> HmacScheme | None:
    keys = part.mapping(SCHEME_KEYS) or {}
    header = read_header_name(keys["header"]) if "header" in keys else None
    if "header" not in keys:
        part.fault("is missing: the header that carries the signature", "header")
    prefix = keys["prefix"].value if "prefix" in keys else ""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        keys["prefix"].fault('must be what stands before the signature, in quotes, at most 64 characters: "sha256="')
        prefix = ""
    encoding = keys["encoding"].value if "encoding" in keys else "hex"
    if encoding == "hex" or encoding == "base64":  # noqa: PLR1714 (this is what mypy narrows by)
        return None if header is None else HmacScheme(header, prefix, encoding)
    keys["encoding"].fault("must be hex or base64")
    return None


def _secrets(
    source: Part, part: Part | None, verify: HmacScheme | Literal["none"] | None, secret_fault: SecretFault
) -> tuple[str, ...]:
    if verify == "none":
        if part is not None:
            part.fault("would never be used, because verify: none checks nothing: leave out the one or the other")
        return ()
    if part is None:
        if verify is not None:
            source.fault(f"is missing: a source that verifies needs one at least: {HOW_TO_LIST_SECRETS}", "secrets")
        return ()
    if isinstance(part.value, str):
        # Quoted back only when it is a reference: what is none may be the secret itself.
        spelling = HOW_TO_LIST_SECRETS if secret_fault(part.value) else f'secrets: ["{shown(part.value)}"]'
        part.fault(f"must be a list: {spelling}")
        return ()
    if part.value == []:
        part.fault(f"is empty: a source that verifies needs one at least: {HOW_TO_LIST_SECRETS}")
    uses = read_secrets(part, secret_fault)
    for number, use in enumerate(uses):
        if use.not_after is not None:
            part.fault("is not in this version: leave it out", number, "not_after")
    return tuple(use.reference for use in uses)
