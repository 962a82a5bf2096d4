"""A source of a provider as people write it for `opsconnect apply`: ready to paste."""

import json
from collections.abc import Mapping, Sequence

from app.core.catalog.provider import Mac, Provider, Scheme, SharedSecret
from app.core.catalog.sources import signs_url

UNLISTED = frozenset({"basic", "bearer", "hmac", "token"})
"""Senders of whom nothing is known but how they prove themselves: their sources say the rest."""

SECRET_BY_HANDSHAKE = frozenset({"asana", "notion"})
"""They make the secret themselves, and say it once, when they first call."""


def source_text(
    provider: Provider,
    scheme: Scheme,
    address: str,
    *,
    secrets: Sequence[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> str:
    """Write a document with one source.

    Secrets are references, by default to a variable; settings that are not given are left to be filled in.
    """
    name = provider.name.replace("_", "-")
    lines = ["sources:", f"  - name: {name}", f"    provider: {name}"]
    if len(provider.schemes) > 1:
        lines.append(f"    scheme: {scheme.name}")
    if provider.name in UNLISTED:
        lines += _generic(scheme)
    references = _references(provider, scheme) if secrets is None else secrets
    if references:
        lines.append(f"    secrets: [{', '.join(map(json.dumps, references))}]")
    lines += _settings(provider, scheme) if settings is None else _given(settings)
    if signs_url(scheme):
        lines.append(f"    public_url: {address}")
    return "\n".join(lines) + "\n"


def _references(provider: Provider, scheme: Scheme) -> Sequence[str]:
    if scheme.needs == "fetched key":
        return []
    if provider.name in SECRET_BY_HANDSHAKE:
        return ["handshake:"]
    return [f"env:{provider.name.upper()}_{'SECRET' if scheme.needs == 'secret' else 'PUBLIC_KEY'}"]


def _generic(scheme: Scheme) -> Sequence[str]:
    proof, verify = scheme.proof, ""
    if isinstance(proof, Mac):
        verify = f"{{header: X-Signature, prefix: {json.dumps(proof.prefixes[0])}, encoding: {proof.encoding}}}"
    elif isinstance(proof, SharedSecret) and proof.place == "header":
        verify = "{token_header: X-Webhook-Token}"
    return [*([f"    verify: {verify}"] if verify else []), '    delivery_key: "header:X-Delivery-Id"']


def _settings(provider: Provider, scheme: Scheme) -> Sequence[str]:
    """Write what must be set, and as a comment what may be."""
    lines = [f'      {name}: "…"  # {provider.settings[name]}' for name in scheme.settings]
    lines += [
        f'      # {name}: "…"  # {text}' for name, text in provider.settings.items() if name not in scheme.settings
    ]
    if not lines:
        return []
    return ["    settings:" if scheme.settings else "    # settings:", *lines]


def _given(settings: Mapping[str, str]) -> Sequence[str]:
    return (
        ["    settings:", *(f"      {name}: {json.dumps(value)}" for name, value in settings.items())]
        if settings
        else []
    )
