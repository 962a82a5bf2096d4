"""`opsconnect jobs`, and jobs in `events show`, on a real Postgres; in this process, to save the start."""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.event_store import PostgresEventStore
from app.cli import cli
from app.core.domain.event import NewEvent
from app.core.domain.flow import PIPELINE_STEPS
from app.core.domain.ids import job_id
from app.core.domain.job import Move, NewJob
from app.core.domain.step import StepPlan
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT
from tests.working import Hand

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOBODY = "01a1fd12-8dde-760c-a706-6332279a3d9e"


@dataclass
class Command:
    def __call__(self, *arguments: str) -> tuple[int, list[str], list[str]]:
        result = CliRunner().invoke(cli, ["jobs", *arguments])
        return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()

    def lines(self, *arguments: str) -> list[str]:
        code, out, err = self(*arguments)
        assert (code, err) == (0, [])
        return [re.sub(TIME, "TIME", line) for line in out]

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, [])
        return json.loads("\n".join(out))


@pytest.fixture
def command(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPSCONNECT_DATABASE_URL", database_url)
    return Command()


def a_job(**fields: Any) -> NewJob:
    values: dict[str, Any] = {
        "id": job_id(time.time_ns()),
        "connector_name": "crm",
        "steps": (StepPlan("post", "crm", "post"),),
        "payload": '{"n":18446744073709551617}',
        "traceparent": TRACE,
    }
    return NewJob(**{**values, **fields})


def test_jobs_are_listed_shown_retried_and_cancelled(command: Command, database_url: str) -> None:
    """The whole story, as a person reads it: one line a job, a calm table of steps and executions."""
    hand = Hand(database_url)
    assert command.lines("list") == ["No jobs."]
    run = a_job(connector_name="arithmetic", flow="pipeline", steps=PIPELINE_STEPS, payload='{"initial_value":10}')
    failed, waits = a_job(), a_job()
    hand.add(run, failed, waits)
    first, second = hand.claim(2)
    hand.settle(first, Move.POSTPONE, 15, error="multiply: the other side is away\x1b[31m", delay_seconds=3600.0)
    hand.settle(second, Move.FAIL, error="post: no", fingerprint="f" * 16)
    assert command.lines("list") == [
        f"TIME  {waits.id}  crm               pending      0×",
        f"TIME  {failed.id}  crm               error        1×  post: no",
        f"TIME  {run.id}  pipeline          retrying     1×  multiply: the other side is away\\x1b[31m",
    ]
    assert command.lines("list", "--limit", "1")[1:] == ["… of 3: raise --limit"]
    assert command.lines("list", "--status", "completed") == ["No jobs match."]
    assert [job["job_id"] for job in command.json("list", "--connector", "crm", "--status", "error")] == [failed.id]
    assert [job["job_id"] for job in command.json("list", "--flow", "pipeline")] == [run.id]
    assert command.json("list", "--event", "nothing") == []
    assert command.lines("show", run.id) == [
        f"job_id          {run.id}",
        "status          retrying",
        "connector_name  arithmetic",
        "flow            pipeline",
        "attempt         1",
        "created_at      TIME",
        "updated_at      TIME",
        "error_message   multiply: the other side is away\\x1b[31m",
        "run             1",
        "due_at          TIME",
        "trace_id        0af7651916cd43dd8448eb211c80319c",
        "",
        "steps",
        "  add       completed  1×  15",
        "  multiply  error      1×  multiply: the other side is away\\x1b[31m",
        "  subtract  pending    0×",
        "",
        "executions",
        "    1  failed     TIME  TIME  multiply: the other side is away\\x1b[31m",
        "",
        "payload",
        "{",
        '  "initial_value": 10',
        "}",
        "",
        "result",
        "15",
    ]
    shown = command.json("show", failed.id)
    assert (shown["payload"], shown["fingerprint"]) == ({"n": 2**64 + 1}, "f" * 16)
    assert command.lines("retry", failed.id) == [f"Job {failed.id} runs again as soon as a worker takes it."]
    assert command.json("retry", run.id) == {"job_id": run.id, "status": "pending", "attempt": 2}
    assert command.lines("cancel", waits.id) == [f"Job {waits.id} is cancelled."]
    assert command.json("cancel", failed.id) == {"job_id": failed.id, "status": "cancelled", "attempt": 1}
    claimed = hand.claim_one(run.id)
    hand.settle(claimed, Move.COMPLETE, 15, 30, "x" * 100)
    assert f'  subtract  completed  1×  "{"x" * 59}…' in command.lines("show", run.id)


def test_what_cannot_be_done_is_one_line_and_exit_code_1(command: Command, database_url: str) -> None:
    hand, job = Hand(database_url), a_job()
    hand.add(job)
    text = "A job that is pending cannot be retried; it can be cancelled."
    assert command("retry", job.id) == (1, [], [f"error  {job.id}: {text}"])
    hand.claim_one(job.id)
    running = f"error  {job.id}: A worker has it just now. Wait until this execution has ended."
    assert command("cancel", job.id) == command("retry", job.id) == (1, [], [running])
    for words in (["show"], ["retry"], ["cancel"], ["show", "--json"], ["cancel", "--json"]):
        for unknown in ("nothing", NOBODY):
            missing = f"error  {unknown}: no job has this id; 'opsconnect jobs list' lists those that exist"
            assert command(*words, unknown) == (1, [], [missing])
    assert command("list", "--status", "unknown")[0] == 2


def keep(database_url: str, event: NewEvent) -> None:
    async def run() -> None:
        connections = Connections(database_url, budget=PATIENT, largest=1)
        await append(PostgresEventStore(connections), event)
        await connections.close()

    asyncio.run(run())


def test_an_event_is_shown_with_its_jobs(command: Command, database_url: str) -> None:
    event = new_event("d-1")
    keep(database_url, event)
    result = CliRunner().invoke(cli, ["events", "show", event.id])
    assert "\njobs\n" not in result.stdout
    ids = [job_id(time.time_ns()) for _ in range(2)]
    Hand(database_url).add(*(a_job(id=one, event_id=event.id, payload=None) for one in ids))
    result = CliRunner().invoke(cli, ["events", "show", event.id])
    assert result.exit_code == 0
    lines = re.sub(TIME, "TIME", result.stdout).splitlines()
    assert lines[-3:] == ["jobs", *(f"  TIME  {one}  crm               pending      0×" for one in reversed(ids))]
    shown = json.loads(CliRunner().invoke(cli, ["events", "show", event.id, "--json"]).stdout)
    assert [job["job_id"] for job in shown["jobs"]] == ids[::-1]
