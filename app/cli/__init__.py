"""The command line: `opsconnect`. Exit codes: 0 done, 1 it failed and a line says why, 2 wrong usage."""

import asyncio
import io
import json
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from app.cli.verify import verify
from app.core.application import Application
from app.core.domain.audit import Actor
from app.core.domain.errors import Invalid, OpsConnectError
from app.core.use_cases.apply_configuration import Plan
from app.infra.embedded.errors import EmbeddedError

cli = typer.Typer(
    name="opsconnect",
    help="Take webhooks in, keep each exactly once, and show what happened to it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

T = TypeVar("T")

COLOURS = {"created": "green", "changed": "yellow", "unchanged": "dim"}


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no arrows gets an escape instead of ending us.
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="opsconnect")


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turn every failure that we know into lines on stderr and exit code 1: one line each fault."""
    try:
        yield
    except Invalid as error:
        for fault in error.faults:
            _complain(str(fault))
        raise typer.Exit(1) from None
    except (OpsConnectError, EmbeddedError) as error:
        _complain(str(error))
        raise typer.Exit(1) from None


def asking(question: Callable[[Application], Awaitable[T]]) -> T:
    """Put one question to the application, on the database that the settings name or that `dev` runs."""
    from app.infra.container import build
    from app.settings import load

    # A command may wait for a connection longer than a webhook may, and shields nothing by Redis: Postgres decides.
    settings = load(postgres_acquire_seconds=5, postgres_connect_seconds=5, postgres_append_seconds=15, redis_url=None)

    async def ask() -> T:
        async with build(settings) as container:
            return await question(container.application)

    return asyncio.run(ask())


def operator() -> Actor:
    """Tell who runs this command, by the system's own word: what the environment says can be anybody's."""
    user = os.getuid()
    try:
        return Actor(f"cli:{pwd.getpwuid(user).pw_name}")
    except KeyError:  # as in a container that knows no names
        return Actor(f"cli:{user}")


def say(text: str | Text = "", *, stderr: bool = False) -> None:
    """Print one line as it is: never wrapped, coloured only on a terminal."""
    Console(stderr=stderr, highlight=False, markup=False, emoji=False).print(text, soft_wrap=True)


def say_json(value: object) -> None:
    """Print what a script reads: one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _complain(text: str) -> None:
    say(Text.assemble(("error", "bold red"), "  ", " ".join(text.split())), stderr=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"opsconnect {version('opsconnect')}")
        raise typer.Exit


@cli.callback()
def _opsconnect(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@cli.command()
def dev(
    host: Annotated[str | None, typer.Option(help="The address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on [8000].")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The folder of the embedded servers [.opsconnect].")] = None,
) -> None:
    """Run everything on this machine: Postgres, Redis-compatible server, migrations, API and worker."""
    from app.infra import dev
    from app.settings import load

    with failing_clearly():
        options = _given(host=host, port=port, data_dir=data_dir)
        dev.run(load(environment="dev", drain_announce_seconds=0, worker_drain_seconds=2, **options))


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on [8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes serve on it [1].")] = None,
) -> None:
    """Serve on the database and the Redis that the settings name."""
    from app.infra import server, serving
    from app.infra.workers import serve_together
    from app.settings import load

    with failing_clearly():
        settings, listener = server.take_port(load(**_given(host=host, port=port, workers=workers)))
        with listener:
            serving.refuse_unsafe(settings)
            if settings.workers == 1:
                serving.run(settings, listener)
            else:
                serve_together(settings, listener, serving.run)


@cli.command()
def worker(
    engine: Annotated[str | None, typer.Option(help="Who runs jobs: embedded, on Postgres alone.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="The most jobs at once [100].")] = None,
    port: Annotated[int | None, typer.Option(help="Where it answers health and metrics [nowhere].")] = None,
) -> None:
    """Plan events and run jobs, on the database that the settings name."""
    from app.infra import worker
    from app.settings import load

    with failing_clearly():
        worker.run(load(**_given(engine=engine, worker_concurrency=concurrency, worker_port=port)))


@cli.command()
def migrate(
    to: Annotated[str, typer.Option(metavar="REV", help="The revision to bring the database to.")] = "head",
) -> None:
    """Bring the database to the newest schema. Several at once wait for each other."""
    from app.infra import migrations
    from app.infra.database_url import find
    from app.settings import load

    with failing_clearly():
        before, after = migrations.migrate(find(load()), to)
        say(f"The database is at revision {after}." if before == after else f"Migrated to revision {after}.")


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


@cli.command()
def apply(
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - reads standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make sources and connections be what a file says. Applying it again changes nothing."""
    with failing_clearly():
        plan = _applied(file, dry_run=dry_run)
        if as_json:
            say_json(asdict(plan))
        else:
            _show(plan)


def _applied(file: str, *, dry_run: bool) -> Plan:
    from app.infra.configuration_file import read_file
    from app.infra.schema_files import with_schemas

    document = with_schemas(read_file(file), Path(file).parent)
    return asking(lambda application: application.apply_configuration(document, operator(), dry_run=dry_run))


def _show(plan: Plan) -> None:
    planned = [*(("source", one) for one in plan.sources), *(("connection", one) for one in plan.connections)]
    width = max((len(one.name) for _, one in planned), default=0)
    for kind, one in planned:
        lines = [str(difference) for difference in one.diff] or [""]
        head = Text.assemble((f"{one.change:<9}", COLOURS[one.change]), f"  {kind:<10}  {one.name:<{width}}")
        for number, line in enumerate(lines):
            text = Text.assemble(head if number == 0 else " " * len(head), "  ", line)
            text.rstrip()
            say(text)
    for warning in plan.warnings:
        say(Text.assemble(("warning", "yellow"), "  ", str(warning)), stderr=True)
    counts = {change: sum(one.change == change for _, one in planned) for change in COLOURS}
    total = ", ".join(f"{count} {change}" for change, count in counts.items() if count) or "nothing in it"
    say(f"\n{total}." if plan.applied else f"\n{total}. A dry run: nothing was written.")


@cli.command()
def config(as_json: AsJson = False) -> None:
    """Show every setting as it is in force, and where it comes from. Secrets are masked."""
    from app.infra.resolved_settings import resolved
    from app.settings import load

    with failing_clearly():
        settings = resolved(load())
        if as_json:
            say_json([asdict(setting) for setting in settings])
            return
        width = max(len(setting.variable) for setting in settings)
        for setting in settings:
            origin = "" if setting.origin == "default" else f"  ({setting.origin})"
            value = "not set" if setting.value in {None, ""} else str(setting.value)
            style = "dim" if setting.origin == "default" else ""
            say(Text.assemble((f"{setting.variable:<{width}}  {value}", style), (origin, "cyan")))


from app.cli import (  # noqa: E402 (they speak through what stands above)
    audit,
    connections,
    events,
    jobs,
    keys,
    providers,
    refusals,
    sources,
)
from app.cli.send import send  # noqa: E402

cli.add_typer(keys.commands, name="keys")
cli.add_typer(audit.commands, name="audit")
cli.add_typer(connections.commands, name="connections")
cli.add_typer(events.commands, name="events")
cli.add_typer(jobs.commands, name="jobs")
cli.add_typer(providers.commands, name="providers")
cli.add_typer(refusals.commands, name="refusals")
cli.add_typer(sources.commands, name="sources")
cli.command()(verify)
cli.command()(send)
