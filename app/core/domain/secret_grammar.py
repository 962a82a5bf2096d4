"""How the secrets of a source are written: references, each perhaps with its last moment."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from app.core.domain.document import Part, kind
from app.core.domain.secret_use import SecretUse

HOW_TO_LIST_SECRETS = 'secrets: ["env:NAME", "file:PATH"]'
KEYS = ("ref", "not_after")

SecretFault = Callable[[str], str | None]
"""Judges a reference by its form: what is wrong with it, or None."""

_REFERENCE = '"env:NAME" or "file:PATH"'
_EXAMPLE = "2026-12-31T00:00:00Z"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
"""A time of RFC 3339, or as much of one as somebody who forgets a part writes."""


def read_secrets(part: Part, secret_fault: SecretFault, *, own: str = "") -> tuple[SecretUse, ...]:
    """Read a list of secrets: references, or mappings of a reference and its last moment.

    `own` is what `handshake:` stands for: the secrets that the source's own provider brings. Nothing but a time is
    quoted back: what is no reference may be the secret itself.
    """
    uses: list[SecretUse] = []
    for item in part.items(HOW_TO_LIST_SECRETS):
        if isinstance(item.value, Mapping):
            use = _in_detail(item, item.value, secret_fault)
        else:
            use = SecretUse(own) if own and item.value == "handshake:" else _plain(item, secret_fault)
        if use is None:
            continue
        if any(use.reference == other.reference for other in uses):
            item.fault("is there twice")
        else:
            uses.append(use)
    return tuple(uses)


def _plain(item: Part, secret_fault: SecretFault) -> SecretUse | None:
    reference = item.text(_REFERENCE)
    if reference is None:
        return None
    if fault := secret_fault(reference):
        item.fault(fault)
        return None
    return SecretUse(reference)


def _in_detail(item: Part, keys: Mapping[str, object], secret_fault: SecretFault) -> SecretUse | None:
    if not keys.keys() <= set(KEYS):
        # A key that is none may be a part of the secret too, so it is not named as elsewhere.
        written_out = f'{{ref: "env:NAME", not_after: {_EXAMPLE}}}'
        item.fault(f"must be {_REFERENCE}, or {written_out}; this is a mapping with other keys")
        return None
    parts = item.mapping(KEYS) or {}
    not_after = _time(parts["not_after"]) if "not_after" in parts else None
    if "ref" not in parts:
        item.fault('is missing: the secret that is meant, as in ref: "env:NAME"', "ref")
        return None
    use = _plain(parts["ref"], secret_fault)
    return None if use is None else SecretUse(use.reference, not_after)


def _time(part: Part) -> datetime | None:
    written = _TIME.fullmatch(part.value) if isinstance(part.value, str) else None
    if written is None:
        part.fault(f"must be a time, as in {_EXAMPLE}; this is {kind(part.value)}")
        return None
    day, time, zone = written.groups()
    if time is None:
        part.fault(f"must say the time of the day too, and its zone, as in {day}T00:00:00Z")
        return None
    if zone is None:
        part.fault(f"must say its time zone: Z for UTC, or an offset, as in {day}T{time}Z")
        return None
    try:
        return datetime.fromisoformat(f"{day}T{time}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        part.fault(f"is no time that a calendar has; write it as in {_EXAMPLE}")
        return None
