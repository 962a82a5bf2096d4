"""`opsconnect connections`: how outside systems are reached, and what runs them."""

from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, say, say_json
from app.core.domain.connection_difference import written
from app.core.domain.errors import Fault, Invalid
from app.core.use_cases.browse_connections import ShownConnection

commands: typer.Typer = typer.Typer(help="Look at connections to outside systems.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]


@commands.command("list")
def list_connections(as_json: AsJson = False) -> None:
    """List connections by name: the connector of each, and the sources that run it."""
    with failing_clearly():
        found = asking(lambda application: application.browse_connections.find())
        if as_json:
            say_json([_for_scripts(shown) for shown in found])
            return
        if not found:
            say("No connections. 'opsconnect apply -f FILE' makes some.")
        for shown in found:
            connection = shown.connection
            line = Text(f"{connection.name:<16}  {connection.connector:<16}  ")
            line.append(_run_by(shown), style="" if shown.run_by else "dim")
            say(line)


@commands.command("show")
def show_connection(name: NameArgument, as_json: AsJson = False) -> None:
    """Show one connection: its settings, and where its secrets are."""
    with failing_clearly():
        shown = asking(lambda application: application.browse_connections.get(name))
        if shown is None:
            no_such = "no connection has this name; 'opsconnect connections list' lists those that exist"
            raise Invalid([Fault(name, no_such)])
        if as_json:
            say_json(_for_scripts(shown))
            return
        fields = {"name": name, **written(shown.connection), "run by": ", ".join(shown.run_by) or "no source"}
        width = max(map(len, fields))
        for field, value in fields.items():
            say(Text.assemble((f"{field:<{width}}", "dim"), f"  {value}"))


@commands.command("check")
def check_connection(name: NameArgument) -> None:
    """See whether a connection would work, without any effect: its settings, its secrets, and the other side."""
    with failing_clearly():
        failed = asking(lambda application: application.try_step.check(name))
        if failed is not None:
            raise Invalid([Fault(name, failed.message)])
        say(f"{name} works, as far as one can see without doing anything.")


def _for_scripts(shown: ShownConnection) -> dict[str, Any]:
    connection = shown.connection
    return {
        "name": connection.name,
        "connector": connection.connector,
        "settings": connection.settings,
        "secrets": dict(connection.secrets),
        "allow_private": list(connection.allow_private),
        "run_by": list(shown.run_by),
    }


def _run_by(shown: ShownConnection) -> str:
    return f"run by {', '.join(shown.run_by)}" if shown.run_by else "no source runs it"
