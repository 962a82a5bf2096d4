"""`opsconnect keys`: who may ask the API, for what, and until when."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, operator, say, say_json
from app.core.domain.api_key import ApiKey, Scope
from app.core.domain.errors import Fault, Invalid

commands: typer.Typer = typer.Typer(help="Give out keys for the API, and take them back.", no_args_is_help=True)

STATES = {"valid": "green", "expired": "yellow", "revoked": "dim"}
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST_DIGITS = 5


@commands.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; a name is given once.")],
    scope: Annotated[Scope, typer.Option(help="What it is for; each scope includes those before it.")],
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends: 90d, 12h, 30m from now [never].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key, and print it this once."""
    from app.adapters.web.keys import shown_once

    with failing_clearly():
        ends_at = None if expires is None else _from_now(expires)
        created = asking(
            lambda application: application.manage_keys.create(name, scope, operator(), expires_at=ends_at)
        )
        if as_json:
            say_json(shown_once(created))
            return
        say(f"Created {name}, for scope {scope.value}, {_until(created.key)}. Keep it now; nobody can show it again:")
        say(f"\n{created.text}")


@commands.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List every key, in the order in which they were created."""
    from app.adapters.web.keys import summary

    with failing_clearly():
        keys = asking(lambda application: application.manage_keys.all())
        if as_json:
            say_json([summary(key) for key in keys])
            return
        if not keys:
            say("No keys. 'opsconnect keys create NAME --scope read' makes one.")
        width = max((len(key.name) for key in keys), default=0)
        now = datetime.now(UTC)
        for key in keys:
            state = key.state(now)
            line = Text.assemble(f"{key.id}  {key.name:<{width}}  {key.prefix}…  {key.scope.value:<7}  ")
            line.append(f"{state:<7}", style=STATES[state])
            line.append(f"  {_told(key, state)}", style="dim")
            say(line)


@commands.command("revoke")
def revoke_key(id_or_name: Annotated[str, typer.Argument(metavar="ID_OR_NAME")], as_json: AsJson = False) -> None:
    """Make a key worthless: within 5 seconds in every process, and for good."""
    from app.adapters.web.keys import summary

    with failing_clearly():
        key = asking(lambda application: application.manage_keys.revoke(id_or_name, operator()))
        if key is None:
            text = "no key has this id or name; 'opsconnect keys list' lists those that exist"
            raise Invalid([Fault(id_or_name, text)])
        if as_json:
            say_json(summary(key))
        else:
            say(f"Revoked {key.name} ({key.prefix}…); within 5 seconds nobody takes it any more.")


def _from_now(text: str) -> datetime:
    match = re.fullmatch(rf"([0-9]{{1,{LONGEST_DIGITS}}})([mhd])", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise Invalid([Fault("--expires", f"{text!a} is no time from now: write 90d, 12h or 30m")])
    return datetime.now(UTC) + timedelta(**{UNITS[match[2]]: int(match[1])})


def _until(key: ApiKey) -> str:
    return "without an end" if key.expires_at is None else f"until {_minute(key.expires_at)}"


def _told(key: ApiKey, state: str) -> str:
    used = "never used" if key.last_used_at is None else f"last used {_minute(key.last_used_at)}"
    if key.revoked_at is not None:
        return f"{used}, revoked {_minute(key.revoked_at)}"
    return f"{used}, {'ended' if state == 'expired' else 'until'} {_minute(key.expires_at)}" if key.expires_at else used


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
