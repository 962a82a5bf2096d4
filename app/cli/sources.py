"""`opsconnect sources`: which there are, what to give their providers, and the secrets that providers bring."""

from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, operator, say, say_json
from app.core.application import Application
from app.core.domain.delivery_key import printable
from app.core.domain.errors import Fault, Invalid
from app.core.domain.registration import Registration, told
from app.core.domain.source import Source
from app.core.domain.source_difference import written
from app.core.use_cases.browse_sources import ShownSource
from app.core.use_cases.register_source import Opened

commands: typer.Typer = typer.Typer(help="Look at sources, and register them at providers.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
SecretIdArgument = Annotated[int, typer.Argument(metavar="ID")]


@commands.command("list")
def list_sources(as_json: AsJson = False) -> None:
    """List sources by name: how each verifies, and the address to give its provider."""
    with failing_clearly():
        found = asking(lambda application: application.browse_sources.find())
        if as_json:
            say_json([_for_scripts(shown) for shown in found])
            return
        if not found:
            say("No sources. 'opsconnect apply -f FILE' makes some.")
        for shown in found:
            source = shown.source
            line = Text.assemble(f"{source.name:<16}  {source.provider:<16}  {shown.address}  ")
            line.append(_how_it_verifies(source), style="red" if source.verify is None else "dim")
            if shown.registration is not None:
                line.append(f"  {_state(shown.registration)}", style="yellow" if shown.registration.pending else "dim")
            say(line)


@commands.command("show")
def show_source(name: NameArgument, as_json: AsJson = False) -> None:
    """Show one source, and the secrets that its provider brought, without their values."""
    with failing_clearly():
        shown = asking(lambda application: application.browse_sources.get(name))
        if shown is None:
            raise _unknown(name)
        if as_json:
            say_json(_for_scripts(shown))
            return
        for field, value in {"name": name, "address": shown.address, **written(shown.source)}.items():
            say(Text.assemble((f"{field:<14}", "dim"), value))
        if shown.registration is not None:
            say(Text.assemble(("registration  ", "dim"), told(name, shown.registration)))
            for secret in _kept(shown.registration):
                say(f"  secret {secret['id']}, kept {secret['kept_at']}, sealed with key {secret['key_id']}")


@commands.command("register")
def register_source(name: NameArgument, as_json: AsJson = False) -> None:
    """Let a source expect, for an hour, the secret that its provider brings in a handshake."""
    from app.adapters.web.shown import rfc3339

    async def register(application: Application) -> tuple[Opened, ShownSource] | None:
        opened = await application.register_source(name, operator())
        shown = await application.browse_sources.get(name)
        return (opened, shown) if opened is not None and shown is not None else None

    with failing_clearly():
        answer = asking(register)
        if answer is None:
            raise _unknown(name)
        opened, shown = answer
        until = rfc3339(opened.until)
        if as_json:
            say_json({"name": name, "pending_until": until, "address": shown.address, "missing": opened.missing})
            return
        say(f"{name} expects a secret until {until}.")
        say(f"Create the webhook at the provider now, with this address: {shown.address}")
        if opened.missing is not None:
            warning = f"{opened.missing} (where webhooks are served, it may be)"
            say(Text.assemble(("warning", "yellow"), "  ", warning), stderr=True)


@commands.command("reveal")
def reveal_secret(
    name: NameArgument,
    secret_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Which one [the newest].")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a secret that the provider brought: some want to be shown it, as Notion does."""
    with failing_clearly():
        secret = asking(lambda application: application.register_source.reveal(name, operator(), secret_id))
        if secret is None:
            raise _no_secret(name, secret_id)
        text = printable(secret)
        if as_json:
            say_json({"name": name, "secret": text})
        else:
            say(text)


@commands.command("forget")
def forget_secret(name: NameArgument, secret_id: SecretIdArgument, as_json: AsJson = False) -> None:
    """Remove a secret that the provider brought: what is signed with it is refused from then on."""
    with failing_clearly():
        if not asking(lambda application: application.register_source.forget(name, secret_id, operator())):
            raise _no_secret(name, secret_id)
        if as_json:
            say_json({"name": name, "forgotten": secret_id})
        else:
            say(f"Forgot secret {secret_id} of {name}; within seconds, what it signed is refused.")


def _for_scripts(shown: ShownSource) -> dict[str, Any]:
    from app.adapters.web.shown import rfc3339

    registration = shown.registration
    ends_at = registration.ends_at if registration else None
    return {
        "name": shown.source.name,
        "address": shown.address,
        **written(shown.source),
        "secrets": list(shown.source.secrets),
        "registration": None
        if registration is None
        else {
            "pending": registration.pending,
            "ends_at": rfc3339(ends_at) if ends_at else None,
            "secrets": _kept(registration),
        },
    }


def _kept(registration: Registration) -> list[dict[str, Any]]:
    from app.adapters.web.shown import rfc3339

    return [
        {"id": secret.id, "kept_at": rfc3339(secret.kept_at), "key_id": secret.sealed.key_id}
        for secret in registration.secrets
    ]


def _how_it_verifies(source: Source) -> str:
    return next(f"{field}: {text}" for field, text in written(source).items() if field in {"verify", "scheme"})


def _state(registration: Registration) -> str:
    if registration.pending:
        return "expects a secret"
    count = len(registration.secrets)
    return f"{count} secret{'' if count == 1 else 's'} by handshake" if count else "no secret by handshake yet"


def _unknown(name: str) -> Invalid:
    return Invalid([Fault(name, "no source has this name; 'opsconnect sources list' lists those that exist")])


def _no_secret(name: str, secret_id: int | None) -> Invalid:
    which = "no secret from a handshake" if secret_id is None else f"no secret {secret_id} from a handshake"
    return Invalid([Fault(name, f"it has {which}; 'opsconnect sources show {name}' lists those that it has")])
