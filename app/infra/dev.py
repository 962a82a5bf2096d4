"""`opsconnect dev`: production, smaller. Real servers in a folder, the first sources, and lines to try."""

import hmac
import secrets
import sys
from pathlib import Path

from rich.console import Console

from app.core.domain.source import OwnScheme, Place, Source
from app.infra import embedded, server, serving
from app.infra.container import VERSION, Container
from app.infra.migrations import migrate
from app.settings import Settings

SAMPLE_BODY = '{"order":42,"status":"paid"}'
SAMPLE_LEAD = '{"lead_id":"L-1","email":"ada@example.com","first_name":"Ada","last_name":"Lovelace","source":"web"}'


def run(settings: Settings) -> None:
    """Start the embedded servers, migrate, serve; end them when this ends. Raises `Invalid` or `EmbeddedError`."""
    serving.refuse_unsafe(settings)
    listener = server.listen(settings)
    with listener, embedded.start(settings.data_dir, postgres_bin=settings.postgres_bin) as servers:
        migrate(servers.database_url)
        settings = settings.model_copy(
            update={
                "database_url": _secret(servers.database_url),
                "redis_url": _secret(servers.redis_url) if servers.redis_url else None,
            }
        )
        port = listener.getsockname()[1]

        async def ready(container: Container) -> None:
            secret = await _first_sources(container, settings.data_dir)
            _greet(settings, servers, port, secret)

        serving.run(settings, listener, ready=ready, runs_jobs=True)


async def _first_sources(container: Container, data_dir: Path) -> str:
    """Make `salesforce` (open) and `demo` (signed) unless somebody has; give the secret of `demo`."""
    path = (data_dir / "secrets" / "demo").absolute()
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    demo = Source(
        name="demo",
        provider="hmac",
        verify=OwnScheme.of(header="x-signature", prefix="sha256="),
        secrets=(f"file:{path}",),
        delivery_key=Place("header", "x-delivery-id"),
    )
    salesforce = Source(name="salesforce", provider="salesforce", verify=None)
    known = {source.name: source for source in await container.sources.all()}
    missing = [source for source in (demo, salesforce) if source.name not in known]
    # A folder that was moved has its secret elsewhere now.
    if (old := known.get("demo")) and all(_is_lost(reference) for reference in old.secrets):
        missing.append(demo)
    if missing:
        await container.configuration.apply(missing)
    return path.read_text().strip()


def _is_lost(reference: str) -> bool:
    kind, _, place = reference.partition(":")
    return kind == "file" and not Path(place).exists()


def _greet(settings: Settings, servers: embedded.EmbeddedServers, port: int, secret: str) -> None:
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{port}"
    signature = hmac.digest(secret.encode(), SAMPLE_BODY.encode(), "sha256").hex()
    auth = "" if settings.admin_key is None else " -H 'Authorization: Bearer '$OPSCONNECT_ADMIN_KEY"
    redis = _place(servers.redis_url) if servers.redis_url else f"none ({servers.redis_missing})"
    console.print(f"\n[bold]OpsConnect {VERSION}[/bold] is ready at [bold]{base}[/bold]\n")
    console.print(f"  Postgres  {_place(servers.database_url)}    Redis  {redis}    data in {settings.data_dir}/")
    if settings.admin_key is None:
        console.print("  API and documentation are open on this machine: no admin key is set.")
    console.print("\n  A lead, to the open source [bold]salesforce[/bold]:\n")
    _line(console, f"curl -sw '\\n' {base}/api/v1/webhook -H 'Content-Type: application/json' -d '{SAMPLE_LEAD}'")
    console.print(f"\n  A signed webhook, to [bold]demo[/bold] (secret: {secret}):\n")
    _line(
        console,
        f"curl -sw '\\n' {base}/api/v1/webhooks/demo -H 'Content-Type: application/json' -H 'X-Delivery-Id: 1'"
        f" -H 'X-Signature: sha256={signature}' -d '{SAMPLE_BODY}'",
    )
    console.print("\n  What was kept:\n")
    _line(console, f"curl -sw '\\n' '{base}/api/v1/events?limit=5'{auth}")
    console.print()
    sys.stdout.flush()


def _line(console: Console, text: str) -> None:
    console.print(f"    {text}", markup=False, style="cyan")


def _place(url: str) -> str:
    return url.rpartition("@")[2].partition("/")[0]


def _secret(text: str) -> object:
    from pydantic import SecretStr

    return SecretStr(text)
