"""What `opsconnect send` does with its options: keys and secrets, the order, and the account of what was answered."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

from rich.text import Text

from app.cli import say, say_json
from app.cli.providers import unknown
from app.cli.send import SECRET_VARIABLE
from app.core.catalog.catalogue import find
from app.core.catalog.proof import Credentials
from app.core.catalog.provider import Provider, Scheme
from app.core.catalog.source_text import source_text
from app.core.domain.errors import Fault, Invalid, SecretMissing
from app.core.use_cases.make_sample import SampleOrder, both_sides, has_key_pair
from app.core.use_cases.send_sample import Delivered, Pace

CONTENT_TYPES = {".json": "application/json", ".xml": "text/xml", ".form": "application/x-www-form-urlencoded"}
STYLES = {"sent": "green", "duplicate": "cyan", "tampered": "yellow"}


class Keys(NamedTuple):
    """What signs, what checks, and where a key pair was made, what a source must be told of it."""

    signing: Credentials
    checking: Credentials
    told: str = ""


@dataclass
class Tally:
    """What has been answered so far."""

    as_json: bool
    delivered: list[Delivered] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    def note(self, one: Delivered) -> None:
        """Take one down, and show it."""
        self.delivered.append(one)
        if self.as_json:
            return
        status = "---" if one.status is None else str(one.status)
        say(
            Text.assemble(
                (status, "green" if one.good else "bold red"),
                (f"{one.seconds * 1000:>8.1f} ms  ", "dim"),
                (f"{one.what:<9}", STYLES[one.what]),
                f"  {one.delivery_id or '-'}",
                f"  {one.event_type}" if one.event_type else "",
                (f"  event {one.event_id}" if one.event_id else "", "dim"),
                f"  {one.detail}" if one.detail else "",
            )
        )

    @property
    def good(self) -> bool:
        """Tell whether there was something, and all of it was answered as it should be."""
        return bool(self.delivered) and all(one.good for one in self.delivered)

    def summary(self) -> dict[str, Any]:
        """Count what there was."""
        answered = [one.seconds * 1000 for one in self.delivered if one.status is not None]
        seconds = monotonic() - self.started
        return {
            "requests": len(self.delivered),
            "by_kind": dict(Counter(one.what for one in self.delivered)),
            "by_status": dict(sorted(Counter(str(one.status or "no answer") for one in self.delivered).items())),
            "p50_ms": round(median(answered), 1) if answered else None,
            "slowest_ms": round(max(answered), 1) if answered else None,
            "seconds": round(seconds, 2),
            "per_second": round(len(self.delivered) / seconds, 1) if seconds else None,
        }


def order_of(
    provider: Provider,
    scheme: Scheme,
    keys: Keys,
    *,
    to: str,
    public_url: str,
    event: str | None,
    body: Path | None,
    tamper: bool,
    age: float,
) -> SampleOrder:
    """Put the order together. Raises `Invalid` for a body that cannot be read."""
    return SampleOrder(
        provider=provider,
        scheme=scheme,
        signing=keys.signing,
        checking=keys.checking,
        url=to,
        public_url=public_url,
        event_type=event,
        body=None if body is None else _read(body),
        content_type=None if body is None else CONTENT_TYPES.get(body.suffix.lower()),
        tamper=tamper,
        age_seconds=age,
    )


def send_all(order: SampleOrder, pace: Pace, told: str, *, as_json: bool) -> bool:
    """Send what was ordered, and give account of it, also where Ctrl-C ends it; tell whether all was as is right."""
    if told and not as_json:
        say(told)
    tally = Tally(as_json)
    with suppress(KeyboardInterrupt):
        asyncio.run(_send(order, pace, tally))
    _sum_up(tally, told)
    return tally.good


async def _send(order: SampleOrder, pace: Pace, tally: Tally) -> None:
    from app.infra.container import build_sender
    from app.settings import load

    async with build_sender(load()) as send_sample:
        await send_sample(order, pace, tally.note)


def chosen(name: str, scheme_name: str | None) -> tuple[Provider, Scheme]:
    """Find provider and scheme. Raises `Invalid`."""
    provider = find(name)
    if provider is None:
        raise unknown(name)
    scheme = provider.scheme(scheme_name)
    if scheme is None:
        schemes = ", ".join(scheme.name for scheme in provider.schemes)
        raise Invalid([Fault("--scheme", f"{provider.name} has {schemes}")])
    return provider, scheme


def settings_of(written: Sequence[str]) -> Mapping[str, str]:
    """Read settings, as they are written on the command line. Raises `Invalid`."""
    pairs = [text.partition("=") for text in written]
    if not all(name and value for name, _, value in pairs):
        raise Invalid([Fault("--setting", "must be NAME=VALUE")])
    return {name: value for name, _, value in pairs}


def keys_for(
    provider: Provider,
    scheme: Scheme,
    secrets: Sequence[str],
    key: Path | None,
    settings: Mapping[str, str],
    address: str,
) -> Keys:
    """Find the secret or the key pair; make one where there is none, and keep it where `key` says. Raises `Invalid`."""
    if not has_key_pair(scheme):
        if key is not None:
            raise Invalid([Fault("--key", f"{provider.name} signs with a shared secret: give --secret")])
        return Keys(*both_sides(scheme, asyncio.run(_resolved(secrets)), None, settings))
    if secrets:
        raise Invalid([Fault("--secret", f"{provider.name} signs with a private key: give --key, or neither")])
    known = key is not None and key.exists()
    signing, checking = both_sides(scheme, [], _read(key) if key is not None and known else None, settings)
    if known:
        return Keys(signing, checking)
    kept = None if key is None else _keep(key, signing, checking)
    return Keys(signing, checking, _told(provider, scheme, checking, address, kept))


async def _resolved(secrets: Sequence[str]) -> list[bytes]:
    from app.infra.container import references_here

    references = references_here()
    if not secrets:
        try:
            return [await references.resolve(f"env:{SECRET_VARIABLE}")]
        except SecretMissing:
            how = (
                f"say what to sign with: --secret, as itself, env:NAME or file:PATH, or the variable {SECRET_VARIABLE}"
            )
            raise Invalid([Fault("--secret", how)]) from None
    return [
        await references.resolve(text) if text.startswith(("env:", "file:")) else os.fsencode(text) for text in secrets
    ]


def _public(checking: Credentials) -> bytes:
    """Give the public half as a source takes it among its secrets; nothing, where it stands in the settings."""
    return b"\n".join((*checking.secrets, *checking.keys.values()))


def _keep(key: Path, signing: Credentials, checking: Credentials) -> Path | None:
    """Write both halves down, the private one for nobody else; give where the public one is, if it is a secret's."""
    _write(key, signing.secrets[0], 0o600)
    if not (public := _public(checking)):
        return None
    beside = key.with_name(key.name + ".pub")
    _write(beside, public.rstrip(b"\n") + b"\n", 0o644)
    return beside


def _told(provider: Provider, scheme: Scheme, checking: Credentials, address: str, kept: Path | None) -> str:
    secrets = [f"file:{kept.absolute()}"] if kept else None
    settings = {name: value for name, value in checking.settings.items() if name in provider.settings}
    text = source_text(provider, scheme, address, secrets=secrets, settings=settings)
    made = "A key pair was made. A source takes what it signs when it is told of the public half:"
    public = _public(checking).decode().rstrip("\n") if kept is None else ""
    return "\n".join([made, "", *([public, ""] if public else []), text])


def _sum_up(tally: Tally, source: str) -> None:
    summary = tally.summary()
    if tally.as_json:
        deliveries = [{**one._asdict(), "good": one.good} for one in tally.delivered]
        say_json({"deliveries": deliveries, "summary": summary, "source": source or None})
        return
    kinds = ", ".join(f"{number} {what}" for what, number in summary["by_kind"].items()) or "nothing sent"
    statuses = ", ".join(f"{number} × {status}" for status, number in summary["by_status"].items())
    times = f"p50 {summary['p50_ms']} ms, slowest {summary['slowest_ms']} ms. " if summary["p50_ms"] is not None else ""
    say(f"\n{kinds}{': ' if statuses else ''}{statuses}. {times}{summary['seconds']} s in all.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid([Fault(str(path), f"cannot be read: {error.strerror}")]) from None


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Invalid([Fault(str(path), f"cannot be written: {error.strerror}")]) from None
