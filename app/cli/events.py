"""`opsconnect events`: what was kept, and what is done about it."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, say, say_json
from app.cli.jobs import job_line
from app.core.application import Application
from app.core.domain.delivery_key import printable
from app.core.domain.errors import Fault, Invalid
from app.core.domain.event import Event, EventState
from app.core.domain.ids import EventId
from app.core.domain.job import Job
from app.core.ports.event_reader import EventQuery
from app.core.ports.job_store import JobQuery

commands: typer.Typer = typer.Typer(help="Look at what was kept.", no_args_is_help=True)

MOST_JOBS = 200
"""Shown with an event."""
STATES = {"received": "cyan", "processed": "green", "discarded": "dim", "dead": "red", "quarantined": "yellow"}


@commands.command("list")
def list_events(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    type: Annotated[str | None, typer.Option(help="Only of this type.")] = None,  # noqa: A002
    state: Annotated[EventState | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List events, newest first."""
    from app.adapters.web.events import summary

    query = EventQuery(source=source, type=type, state=state, limit=limit)
    with failing_clearly():
        page = asking(lambda application: application.browse_events.find(query))
        shown = [summary(event) for event in page.events]
        if as_json:
            say_json(shown)
            return
        if not shown:
            say("No events." if query == EventQuery(limit=limit) else "No events match.")
        for event in shown:
            repeated = f"  ×{event['duplicates'] + 1}" if event["duplicates"] else ""
            suspected = "  suspected replay" if event["suspected_replay"] else ""
            say(
                Text.assemble(
                    (event["received_at"], "dim"),
                    f"  {event['id']}  {event['source']:<16}  ",
                    (f"{event['state']:<11}", STATES[event["state"]]),
                    f"  {event['type'] or '-'}  {event['size']} B{repeated}",
                    (suspected, "yellow"),
                )
            )
        if page.next_before:
            say(Text("… and more: raise --limit", style="dim"))


@commands.command("show")
def show_event(
    event_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Show one event with its headers, its body and its jobs."""
    from app.adapters.web.events import detail

    async def find(application: Application) -> tuple[Event, bytes, Sequence[Job]] | None:
        found = await application.browse_events.get(event_id)
        query = JobQuery(event_id=EventId(event_id), limit=MOST_JOBS)
        return (*found, (await application.browse_jobs.find(query)).jobs) if found else None

    with failing_clearly():
        found = asking(find)
        if found is None:
            raise Invalid([Fault(event_id, "no event has this id; 'opsconnect events list' lists those that exist")])
        shown = detail(*found)
        if as_json:
            say_json(shown)
            return
        body = shown.pop("body")
        headers = shown.pop("headers")
        found_jobs = shown.pop("jobs")
        for name, value in shown.items():
            if value is not None:
                say(Text.assemble((f"{name:<17}", "dim"), str(value)))
        say(Text("\nheaders", style="bold"))
        for name, value in headers:
            say(f"  {name}: {printable(value.encode('utf-8', 'surrogatepass'))}")
        say(Text("\nbody", style="bold"))
        say(json.dumps(body, indent=2, ensure_ascii=True) if body is not None else f"  {len(found[1])} bytes, no text")
        if found_jobs:
            say(Text("\njobs", style="bold"))
        for job in found_jobs:
            line = Text("  ")
            line.append_text(job_line(job))
            say(line)
