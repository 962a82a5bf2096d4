"""`opsconnect jobs`: what is done about events, how far it got, and deciding about what is stuck."""

import json
from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, operator, say, say_json
from app.core.application import Application
from app.core.domain.delivery_key import printable
from app.core.domain.errors import Fault, Invalid
from app.core.domain.ids import EventId
from app.core.domain.job import Job, JobStatus, Move
from app.core.ports.job_store import Illegal, JobQuery, Moved

commands: typer.Typer = typer.Typer(help="Look at jobs, run them again, cancel them.", no_args_is_help=True)

JobIdArgument = Annotated[str, typer.Argument(metavar="ID")]

STATES = {
    "pending": "cyan",
    "in_progress": "cyan",
    "retrying": "yellow",
    "waiting": "yellow",
    "completed": "green",
    "error": "red",
    "cancelled": "dim",
    # Of steps and executions.
    "running": "cyan",
    "failed": "red",
    "parked": "yellow",
    "returned": "dim",
    "lost": "yellow",
}
LONGEST_OUTPUT = 60
TABLES = ("payload", "result", "steps", "executions")


@commands.command("list")
def list_jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only in this state.")] = None,
    connector: Annotated[str | None, typer.Option(help="Only of this connection or connector.")] = None,
    flow: Annotated[str | None, typer.Option(help="Only of this flow.")] = None,
    event: Annotated[str | None, typer.Option(metavar="ID", help="Only of this event.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from app.adapters.web.job_views import summary

    query = JobQuery(status, connector, flow, None if event is None else EventId(event), limit)
    with failing_clearly():
        page = asking(lambda application: application.browse_jobs.find(query))
        shown = [summary(job) for job in page.jobs]
        if as_json:
            say_json(shown)
            return
        if not shown:
            say("No jobs." if query == JobQuery(limit=limit) else "No jobs match.")
        for job in shown:
            say(job_line(job))
        if page.total > len(shown):
            total = f"{page.total}" if page.total_is_exact else f"more than {page.total}"
            say(Text(f"… of {total}: raise --limit", style="dim"))


@commands.command("show")
def show_job(job_id: JobIdArgument, as_json: AsJson = False) -> None:
    """Show one job with its steps and its executions."""
    from app.adapters.web.job_views import detail

    with failing_clearly():
        job = asking(lambda application: application.browse_jobs.get(job_id))
        if job is None:
            raise _unknown(job_id)
        shown = detail(job)
        if as_json:
            say_json(shown)
        else:
            _show(shown)


@commands.command("retry")
def retry_job(job_id: JobIdArgument, as_json: AsJson = False) -> None:
    """Run a job now: resumed at the step that failed, or, if it was completed, again from its first step."""
    _move(job_id, Move.RERUN, "runs again as soon as a worker takes it", as_json=as_json)


@commands.command("cancel")
def cancel_job(job_id: JobIdArgument, as_json: AsJson = False) -> None:
    """End a job that no worker has."""
    _move(job_id, Move.CANCEL, "is cancelled", as_json=as_json)


def job_line(job: dict[str, Any]) -> Text:
    """Show a job in one line."""
    error = printable((job["error_message"] or "").encode("utf-8", "backslashreplace"))
    line = Text.assemble(
        (job["created_at"], "dim"),
        f"  {job['job_id']}  {job['flow'] or job['connector_name']:<16}  ",
        (f"{job['status']:<11}", STATES[job["status"]]),
        f"  {job['attempt']}×  {error}",
    )
    line.rstrip()
    return line


def _move(job_id: str, move: Move, done: str, *, as_json: bool) -> None:
    from app.adapters.web.jobs import moved, refusal

    async def ask(application: Application) -> tuple[Moved | Illegal | None, Job | None]:
        change = application.change_job
        answer = await (change.retry if move is Move.RERUN else change.cancel)(job_id, operator())
        return answer, await application.browse_jobs.get(job_id)

    with failing_clearly():
        answer, job = asking(ask)
        if answer is None or job is None:
            raise _unknown(job_id)
        if isinstance(answer, Illegal):
            raise Invalid([Fault(job_id, refusal(answer.status, move))])
        if as_json:
            say_json(moved(answer, job))
        else:
            say(f"Job {job_id} {done}.")


def _show(shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        if name not in TABLES and value is not None:
            say(Text.assemble((f"{name:<16}", "dim"), _line(value)))
    say(Text("\nsteps", style="bold"))
    width = max((len(step["name"]) for step in shown["steps"]), default=0)
    for step in shown["steps"]:
        _row(f"{_line(step['name']):<{width}}", step, f"{step['tries']}×", step["output"])
    if shown["executions"]:
        say(Text("\nexecutions", style="bold"))
    for execution in shown["executions"]:
        ended = execution["finished_at"] or ""
        times = f"{execution['started_at']}  {ended:<24}"
        _row(f"{execution['attempt']:>3}", execution, times, execution["output"])
    for name in ("payload", "result"):
        if shown[name] is not None:
            say(Text(f"\n{name}", style="bold"))
            say(json.dumps(shown[name], indent=2, ensure_ascii=True))


def _row(name: str, row: dict[str, Any], middle: str, output: Any) -> None:
    line = Text.assemble(f"  {name}  ", (f"{row['status']:<9}", STATES[row["status"]]), f"  {middle}")
    if row["error_message"]:
        line.append(f"  {_line(row['error_message'])}")
    elif output is not None:
        line.append(f"  {_shortened(output)}")
    line.rstrip()
    say(line)


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= LONGEST_OUTPUT else f"{text[:LONGEST_OUTPUT]}…"


def _line(value: object) -> str:
    return printable(str(value).encode("utf-8", "backslashreplace"))


def _unknown(job_id: str) -> Invalid:
    return Invalid([Fault(job_id, "no job has this id; 'opsconnect jobs list' lists those that exist")])
