"""`opsconnect providers`: who can send, and what to paste where."""

from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.cli import AsJson, failing_clearly, say, say_json
from app.core.domain.errors import Fault, Invalid

commands: typer.Typer = typer.Typer(help="Look at who can send, and what to paste where.", no_args_is_help=True)

COVERAGE = {"full": "green", "partial": "yellow", "none": "red"}
WIDE = 100
"""Columns from which on there is room for titles."""
ENDLESS = 1_000
"""Columns of what is no terminal: nothing is cut off for a program."""
LABEL = 11


@commands.command("list")
def list_providers(as_json: AsJson = False) -> None:
    """List the providers of the catalogue, by name."""
    from app.adapters.web.providers import summary
    from app.core.use_cases.browse_providers import BrowseProviders

    shown = [summary(provider) for provider in BrowseProviders().all()]
    if as_json:
        say_json(shown)
        return
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = ENDLESS
    with_titles = console.width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=True, header_style="dim")
    for column in ("provider", "scheme", "covers", "needs", "answer"):
        table.add_column(column, no_wrap=True, justify="right" if column == "answer" else "left")
    if with_titles:
        table.add_column("title", no_wrap=True)
    for one in shown:
        cells = [
            Text(one["name"], style="bold"),
            "" if one["scheme"] == one["name"] else one["scheme"],
            Text(one["coverage"], style=COVERAGE[one["coverage"]]),
            one["needs"],
            f"{one['answer_seconds']:g} s" if one["answer_seconds"] else "",
        ]
        table.add_row(*cells, *([one["title"]] if with_titles else []))
    console.print(table)


@commands.command("show")
def show_provider(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    url: Annotated[
        str | None, typer.Option(help="The address under which providers reach this [OPSCONNECT_PUBLIC_URL].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what to paste at a provider, what to apply here, and how it signs, names, asks and gives up."""
    from app.adapters.web.providers import detail
    from app.core.use_cases.browse_providers import BrowseProviders
    from app.settings import load

    with failing_clearly():
        browse = BrowseProviders(load().public_url)
        browse = browse if url is None else replace(browse, public_url=url)
        provider = browse.get(name)
        if provider is None:
            raise unknown(name)
        shown = detail(provider, browse.address(provider))
    if as_json:
        say_json(shown)
    else:
        _show(shown)


def unknown(name: str) -> Invalid:
    """Say that the catalogue has no such provider, and which ones have a name like it."""
    from difflib import get_close_matches

    from app.core.use_cases.browse_providers import BrowseProviders

    names = [provider.name for provider in BrowseProviders().all()]
    near = get_close_matches(name.lower().replace("-", "_"), names, n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else "'opsconnect providers list' lists those that it has"
    return Invalid([Fault(ascii(name)[1:-1][:80], f"the catalogue has no provider of this name; {meant}")])


def _show(shown: dict[str, Any]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    say(Text.assemble((shown["title"], "bold"), "  ", (shown["page"], "dim")))
    _head(console, f"At {shown['title']}")
    _line(console, "do", shown["setup"])
    _line(console, "give it", shown["url"], style="bold cyan")
    _head(console, "Here: opsconnect apply -f FILE")
    for line in shown["schemes"][0]["source"].splitlines():
        say(f"  {line}")
    _head(console, "How it proves its requests")
    for number, scheme in enumerate(shown["schemes"]):
        if number:
            console.print()
        _scheme(console, scheme, default=number == 0, several=len(shown["schemes"]) > 1)
    _head(console, "What it says of itself")
    delivery = shown["delivery"]
    _line(console, "id", " or ".join(delivery["id"]) or "none: the body's digest stands in")
    _line(console, "type", " or ".join(delivery["type"]) or "none")
    if delivery["whole_body"]:
        _line(console, "but", "the id is not that of a delivery: only the whole body tells two apart")
    elif delivery["distinct_by"]:
        _line(console, "told apart", "also by " + " or ".join(delivery["distinct_by"]))
    if delivery["items"]:
        _line(console, "batch", f"its items are {delivery['items']}")
    _head(console, "What it expects")
    waits = f", within {shown['answer_seconds']:g} s" if shown["answer_seconds"] else ""
    _line(console, "answer", (_answer(shown["good"]) if shown["good"] else "any 2xx") + waits)
    _line(console, "methods", ", ".join(shown["methods"]))
    _line(console, "retries", shown["retries"] or "it does not say")
    _line(console, "gives up", shown["disables"] or "it does not say")


def _scheme(console: Console, scheme: dict[str, Any], *, default: bool, several: bool) -> None:
    from app.core.catalog.described import COVERAGE as MEANING

    name = scheme["name"] if not several else f"{scheme['name']}, {'the default' if default else 'when pinned'}"
    _line(console, "scheme", name, style="bold")
    _line(console, "proof", scheme["proof"])
    _line(console, "covers", MEANING[scheme["coverage"]], style=COVERAGE[scheme["coverage"]])
    if scheme["freshness_seconds"] is not None:
        future = "; a time in the future is let pass" if scheme["future_allowed"] else ""
        _line(console, "fresh", f"for {scheme['freshness_seconds']:g} s{future}")
    _line(console, "needs", scheme["needs"])
    if scheme["signs_url"]:
        _line(console, "signs", "the URL too: the source's public_url must be exactly what it was given")


def _answer(answer: dict[str, Any]) -> str:
    if answer["body"] is None:
        return str(answer["status"])
    return f"{answer['status']} with the body {answer['body']}" if answer["body"] else f"{answer['status']}, empty"


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _line(console: Console, label: str, text: str, style: str = "") -> None:
    """Print a labelled text; what does not fit goes on below itself, and whole where nobody looks at a terminal."""
    if not console.is_terminal:
        say(f"  {label:<{LABEL}}{text}")
        return
    table = Table.grid(padding=0)
    table.add_column(width=LABEL)
    table.add_column(overflow="fold")
    table.add_row(Text(label, style="dim"), Text(text, style=style))
    console.print(Padding(table, (0, 0, 0, 2)))
