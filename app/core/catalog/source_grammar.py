"""How a source is written in a document, and everything that can be wrong with one."""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from app.core.catalog import catalogue
from app.core.catalog.provider import Encoding, Provider, Scheme
from app.core.catalog.rows import Malformed, read_scheme
from app.core.catalog.sources import signs_url
from app.core.domain.document import Part, kind, shown
from app.core.domain.name_grammar import read_name
from app.core.domain.registration import reference_of
from app.core.domain.request_grammar import (
    read_address,
    read_duration,
    read_header_name,
    read_place,
    read_rate,
    read_size,
)
from app.core.domain.run_grammar import Runnable, read_run
from app.core.domain.schema_grammar import SchemaFault, read_schema
from app.core.domain.secret_grammar import HOW_TO_LIST_SECRETS, SecretFault, read_secrets
from app.core.domain.secret_use import SecretUse
from app.core.domain.source import ListedScheme, OwnScheme, Source

KEYS = (
    *("name", "provider", "scheme", "verify", "tolerance", "secrets", "settings", "public_url"),
    *("delivery_key", "type", "schema", "body_limit", "limits", "run"),
)
LIMIT_KEYS = ("rate",)
LATER = {"poll": "polling is not in this version: a source takes webhooks only"}
SCHEME_KEYS = (
    *("header", "prefix", "encoding", "digest", "template", "timestamp", "tolerance_seconds", "past_only", "list"),
    *("secret", "secret_suffix", "keyed", "header_prefix", "like"),
    *("token_header", "bearer", "basic", "body_field", "query"),
)
CARRIERS = frozenset({"header", "header_prefix", "like", "token_header", "bearer", "basic", "body_field", "query"})
"""Each says by itself where the proof stands."""
GENERIC = frozenset({"hmac", "token", "basic", "bearer", "standardwebhooks", "cloudevents"})
"""Providers for senders that nobody has listed: how exactly they prove themselves may be said with `verify`."""

HOW_TO_VERIFY = "say how it signs with verify: {header: …}, or verify: none"
_PROVIDER = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_LONGEST_SETTING = 65_536
_PREFIX = re.compile(r"(?:[!-~][ -~]{0,63})?")


def read_source(
    part: Part, secret_fault: SecretFault, schema_fault: SchemaFault, runnable: Mapping[str, Runnable]
) -> Source | None:
    """Read one source; `runnable` is what it may run, by name.

    Faults go to the part's findings; the source is worth something only when there are none.
    """
    keys = part.mapping(KEYS, later=LATER)
    if keys is None:
        return None
    name = read_name(part, keys.get("name"), "it ends the address, as in /api/v1/webhooks/NAME", "name: demo")
    if isinstance(part.value, dict) and "poll" in part.value:
        return None  # what else a polled source needs is not known yet
    provider = _provider(part, keys.get("provider"))
    listed = catalogue.find(provider) if provider is not None else None
    verify = _verify(part, keys, provider, listed)
    scheme = _scheme_of(verify, listed)
    secrets = _secrets(part, keys.get("secrets"), name, verify, scheme, secret_fault)
    tolerance = read_duration(keys["tolerance"]) if "tolerance" in keys else None
    settings = _settings(part, keys.get("settings"), listed, scheme)
    delivery_key = read_place(keys["delivery_key"], digest=True) if "delivery_key" in keys else None
    type_place = read_place(keys["type"], digest=False) if "type" in keys else None
    schema = read_schema(keys["schema"], schema_fault) if "schema" in keys else None
    body_limit = read_size(keys["body_limit"]) if "body_limit" in keys else None
    rate = _rate(keys["limits"]) if "limits" in keys else None
    run = read_run(keys["run"], runnable) if "run" in keys else None
    public_url = read_address(keys["public_url"]) if "public_url" in keys else None
    if scheme is not None and "public_url" not in keys and signs_url(scheme):
        part.fault(f"is missing: {provider} signs the address that it was given, which a proxy may hide", "public_url")
    if name is None or provider is None or verify is None:
        return None
    return Source(
        name=name,
        provider=provider,
        verify=None if verify == "none" else verify,
        secrets=tuple(use.reference for use in secrets),
        expiries=tuple((use.reference, use.not_after) for use in secrets if use.not_after is not None),
        tolerance_seconds=tolerance,
        settings=settings,
        delivery_key=delivery_key,
        type=type_place,
        schema=schema,
        body_limit_bytes=body_limit,
        rate_per_second=rate,
        public_url=public_url,
        run=run,
    )


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


def _verify(
    source: Part, keys: Mapping[str, Part], provider: str | None, listed: Provider | None
) -> ListedScheme | OwnScheme | Literal["none"] | None:
    part = keys.get("verify")
    if part is None:
        return _listed_scheme(source, keys.get("scheme"), provider, listed)
    if "scheme" in keys:
        keys["scheme"].fault("names a scheme of the catalogue, and verify says another: leave out the one or the other")
    if isinstance(part.value, dict):
        if listed is not None and listed.name not in GENERIC:
            part.fault(f"is not needed: the catalogue knows how {provider} signs; scheme: NAME chooses one of its ways")
        return _own_scheme(part)
    if part.value != "none":
        # Unsigned requests are taken only when exactly that word was written, never for what looks like it.
        part.fault(f"must be a mapping or the word none, and this is {kind(part.value)}: {HOW_TO_VERIFY}")
        return None
    if provider == "hmac":
        part.fault("provider hmac always signs: give verify: {header: …}, or name another provider")
        return None
    return "none"


def _listed_scheme(
    source: Part, part: Part | None, provider: str | None, listed: Provider | None
) -> ListedScheme | None:
    if provider == "hmac":
        source.fault("is missing: provider hmac needs verify: {header: …}", "verify")
        return None
    if listed is None:
        if provider is not None:
            advice = f"{HOW_TO_VERIFY}; 'opsconnect providers list' shows those that are"
            source.fault(f'"{provider}" is not in the catalogue: {advice}', "provider")
        return None
    if not listed.schemes:
        source.fault(f"is missing: {provider} signs nothing, so it must be said: verify: none", "verify")
        return None
    if part is None:
        return ListedScheme()
    name = part.text(f"scheme: {listed.schemes[0].name}")
    scheme = listed.scheme(name) if name is not None else None
    if name is not None and scheme is None:
        part.fault(f'"{shown(name)}" is none of {provider}: {", ".join(scheme.name for scheme in listed.schemes)}')
    return ListedScheme(scheme.name) if scheme else None


def _own_scheme(part: Part) -> OwnScheme | None:
    keys = part.mapping(SCHEME_KEYS) or {}
    words: dict[str, Any] = {word: value.value for word, value in keys.items()}
    sound = True
    if CARRIERS.isdisjoint(words):
        part.fault("is missing: the header that carries the signature", "header")
        sound = False
    if isinstance(words.get("header"), str):
        words["header"] = read_header_name(keys["header"])
        sound = sound and words["header"] is not None
    prefix = words.get("prefix", "")
    if not isinstance(prefix, list) and not (isinstance(prefix, str) and _PREFIX.fullmatch(prefix)):
        keys["prefix"].fault('must be what stands before the signature, in quotes, at most 64 characters: "sha256="')
        sound = False
    if words.get("encoding", "hex") not in get_args(Encoding):
        keys["encoding"].fault("must be hex, base64 or base64url")
        sound = False
    if not sound:
        return None
    try:
        read_scheme("own", words, catalogue.first_scheme)
    except Malformed as error:
        _tell(part, str(error))
        return None
    return OwnScheme.of(**words)


def _tell(part: Part, text: str) -> None:
    """Say at its own place what the reader of rows says of a table that it calls `verify`."""
    where, _, message = text.removeprefix("verify").removeprefix(".").partition(" ")
    steps = where.split(".") if text.startswith("verify.") else []
    part.fault(message.strip() or text, *steps)


def _scheme_of(verify: ListedScheme | OwnScheme | Literal["none"] | None, listed: Provider | None) -> Scheme | None:
    if isinstance(verify, OwnScheme):
        return read_scheme("own", verify.words, catalogue.first_scheme)
    if isinstance(verify, ListedScheme) and listed is not None:
        return listed.scheme(verify.name)
    return None


def _settings(
    source: Part, part: Part | None, listed: Provider | None, scheme: Scheme | None
) -> tuple[tuple[str, str], ...]:
    known = {**dict.fromkeys(scheme.settings if scheme else (), ""), **(listed.settings if listed else {})}
    settings: dict[str, str] = {}
    if part is not None:
        for name, value in (part.mapping(tuple(sorted(known))) or {}).items():
            text = value.text(f"{name}: TEXT")
            if text is not None and len(text) > _LONGEST_SETTING:
                value.fault(f"is longer than {_LONGEST_SETTING:,} characters")
            elif text is not None:
                settings[name] = text
    for name in scheme.settings if scheme else ():
        if name not in settings and (part is None or (isinstance(part.value, dict) and name not in part.value)):
            source.fault(f"is missing: {known[name] or 'it cannot be verified without'}", "settings", name)
    return tuple(sorted(settings.items()))


def _rate(part: Part) -> float | None:
    keys = part.mapping(LIMIT_KEYS) or {}
    return read_rate(keys["rate"]) if "rate" in keys else None


def _secrets(
    source: Part,
    part: Part | None,
    name: str | None,
    verify: ListedScheme | OwnScheme | Literal["none"] | None,
    scheme: Scheme | None,
    secret_fault: SecretFault,
) -> tuple[SecretUse, ...]:
    if verify == "none":
        if part is not None:
            part.fault("would never be used, because verify: none checks nothing: leave out the one or the other")
        return ()
    if part is None:
        if verify is not None and (scheme is None or scheme.needs != "fetched key"):
            source.fault(f"is missing: a source that verifies needs one at least: {HOW_TO_LIST_SECRETS}", "secrets")
        return ()
    if isinstance(part.value, str):
        # Quoted back only when it is a reference: what is none may be the secret itself.
        spelling = HOW_TO_LIST_SECRETS if secret_fault(part.value) else f'secrets: ["{shown(part.value)}"]'
        part.fault(f"must be a list: {spelling}")
        return ()
    if part.value == []:
        part.fault(f"is empty: a source that verifies needs one at least: {HOW_TO_LIST_SECRETS}")
    return read_secrets(part, secret_fault, own=reference_of(name) if name else "")
