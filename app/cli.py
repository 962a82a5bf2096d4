"""The command line: `opsconnect`. Exit codes: 0 done, 1 it failed and a line says why, 2 wrong usage."""

import asyncio
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.core.domain.errors import Invalid, OpsConnectError
from app.core.use_cases.apply_configuration import Plan

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
    except OpsConnectError as error:
        _complain(str(error))
        raise typer.Exit(1) from None


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
def apply(
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - reads standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the sources be what a file says. Applying it again changes nothing."""
    with failing_clearly():
        plan = _applied(file, dry_run=dry_run)
        if as_json:
            say_json(asdict(plan))
        else:
            _show(plan)


def _applied(file: str, *, dry_run: bool) -> Plan:
    from app.infra.applying import applying
    from app.infra.configuration_file import read_file
    from app.infra.database_url import find
    from app.settings import load

    document = read_file(file)
    settings = load()
    url = find(settings)

    async def run() -> Plan:
        async with applying(settings, url) as apply_configuration:
            return await apply_configuration(document, dry_run=dry_run)

    return asyncio.run(run())


def _show(plan: Plan) -> None:
    width = max((len(source.name) for source in plan.sources), default=0)
    for source in plan.sources:
        lines = [str(difference) for difference in source.diff] or [""]
        head = Text.assemble((f"{source.change:<9}", COLOURS[source.change]), "  ", f"{source.name:<{width}}")
        for number, line in enumerate(lines):
            start = head if number == 0 else Text(" " * len(head))
            text = Text.assemble(start, "  ", line)
            text.rstrip()
            say(text)
    for warning in plan.warnings:
        say(Text.assemble(("warning", "yellow"), "  ", str(warning)), stderr=True)
    counts = {change: sum(source.change == change for source in plan.sources) for change in COLOURS}
    total = ", ".join(f"{count} {change}" for change, count in counts.items() if count) or "no sources in it"
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
