"""Jobs as operators see, retry and cancel them, by the real process; the tests are the worker."""

import time
from typing import Any

import pytest

from app.core.domain.ids import EventId, event_id, job_id
from app.core.domain.job import TRANSITIONS, JobStatus, Move, NewJob
from app.core.domain.step import StepPlan
from tests.e2e.api import Api
from tests.e2e.jobs import JOBS, PIPELINE, post, problem, seen, show, start, start_pipeline
from tests.working import Hand

LARGE = 2**64 + 1
NOBODY = "01a1fd12-8dde-760c-a706-6332279a3d9e"


@pytest.fixture
def hand(api: Api) -> Hand:
    return Hand(api.database_url)


def test_a_job_is_seen_while_it_runs_and_when_it_is_done(api: Api, hand: Hand) -> None:
    job_id = start(api, {"n": 1})
    claimed = hand.claim_one(job_id)
    shown = show(api, job_id)
    assert (shown["status"], shown["attempt"], shown["result"]) == ("in_progress", 1, None)
    (execution,) = shown["executions"]
    assert execution == {
        "attempt": 1,
        "status": "running",
        "started_at": execution["started_at"],
        "finished_at": None,
        "output": None,
        "error_message": None,
    }
    hand.settle(claimed, Move.COMPLETE, {"n": LARGE})
    shown = show(api, job_id)
    assert (shown["status"], shown["result"], shown["error_message"]) == ("completed", {"n": LARGE}, None)
    (step,) = shown["steps"]
    assert (step["status"], step["output"], step["tries"]) == ("completed", {"n": LARGE}, 1)
    (execution,) = shown["executions"]
    assert (execution["status"], execution["output"]) == ("completed", {"n": LARGE})
    assert shown["created_at"] <= execution["started_at"] <= execution["finished_at"] <= shown["updated_at"]


def test_a_failed_job_says_why_and_a_retry_is_the_next_execution(api: Api, hand: Hand) -> None:
    job_id = start(api)
    hand.settle(hand.claim_one(job_id), Move.POSTPONE, error="echo: it is away", delay_seconds=3600.0)
    shown = show(api, job_id)
    assert (shown["status"], shown["attempt"], shown["error_message"]) == ("retrying", 1, "echo: it is away")
    assert shown["due_at"] > shown["updated_at"]
    assert shown["fingerprint"] is None
    (step,) = shown["steps"]
    assert (step["error_message"], step["code"], step["key"]) == ("echo: it is away", "broken", "k" * 32)
    answer = post(api, f"{JOBS}/{job_id}/retry")
    assert (answer.status_code, answer.json()) == (202, {"job_id": job_id, "status": "pending", "attempt": 2})
    hand.settle(hand.claim_one(job_id), Move.FAIL, error="echo: it is gone", fingerprint="f" * 16)
    shown = show(api, job_id)
    assert (shown["status"], shown["attempt"], shown["fingerprint"]) == ("error", 2, "f" * 16)
    executions = [(one["attempt"], one["status"], one["error_message"]) for one in shown["executions"]]
    assert executions == [(1, "failed", "echo: it is away"), (2, "failed", "echo: it is gone")]
    assert post(api, f"{JOBS}/{job_id}/retry").json()["attempt"] == 3
    hand.settle(hand.claim_one(job_id), Move.COMPLETE, "done")
    assert post(api, f"{JOBS}/{job_id}/retry").json() == {"job_id": job_id, "status": "pending", "attempt": 4}
    shown = show(api, job_id)
    assert (shown["run"], shown["status"], shown["steps"][0]["status"]) == (2, "pending", "pending")


def brought_into(status: JobStatus, api: Api, hand: Hand) -> str:
    """A job in a state, by the moves that lead there."""
    job_id = start(api)
    if status is JobStatus.CANCELLED:
        assert post(api, f"{JOBS}/{job_id}/cancel").status_code == 202
    elif status is not JobStatus.PENDING:
        claimed = hand.claim_one(job_id)
        leads = {
            JobStatus.COMPLETED: Move.COMPLETE,
            JobStatus.ERROR: Move.FAIL,
            JobStatus.RETRYING: Move.POSTPONE,
            JobStatus.WAITING: Move.PARK,
        }
        if move := leads.get(status):
            hand.settle(claimed, move, delay_seconds=3600.0)
    assert show(api, job_id)["status"] == status
    return job_id


@pytest.mark.parametrize(("word", "move"), [("retry", Move.RERUN), ("cancel", Move.CANCEL)])
@pytest.mark.parametrize("status", list(JobStatus))
def test_only_legal_moves_are_made(api: Api, hand: Hand, status: JobStatus, word: str, move: Move) -> None:
    """Every state with every move of a person: as the table of transitions says, or 409 and all stays as it is."""
    job_id = brought_into(status, api, hand)
    before = show(api, job_id)
    answer = post(api, f"{JOBS}/{job_id}/{word}")
    if expected := TRANSITIONS.get((status, move)):
        assert answer.status_code == 202
        attempt = before["attempt"] + (expected is JobStatus.PENDING)
        assert answer.json() == {"job_id": job_id, "status": expected.value, "attempt": attempt}
        assert show(api, job_id)["status"] == expected
        return
    http_status, code, told = problem(answer)
    running = status is JobStatus.IN_PROGRESS
    assert (http_status, code) == (409, "job_running" if running else "illegal_move")
    assert told["job_status"] == status
    other = {"retry": Move.CANCEL, "cancel": Move.RERUN}[word]
    possible = ["cancel" if word == "retry" else "retry"] if (status, other) in TRANSITIONS else []
    assert told["possible"] == possible
    assert running or f"A job that is {status} cannot be" in told["detail"]
    assert show(api, job_id) == before


@pytest.mark.parametrize("job_id", ["nothing", NOBODY, NOBODY.upper(), "%00", "%ff", "' OR 1=1", "x" * 999])
def test_jobs_that_are_not_there_are_not_found(api: Api, job_id: str) -> None:
    answers = [api.get(f"{JOBS}/{job_id}"), api.get(f"/api/v1/pipeline/{job_id}")]
    answers += [post(api, f"{JOBS}/{job_id}/{word}") for word in ("retry", "cancel")]
    assert [problem(answer)[:2] for answer in answers] == [(404, "unknown_job")] * 4


def test_jobs_are_listed_newest_first_open_and_finished_alike(api: Api, hand: Hand) -> None:
    ids = [start(api, number) for number in range(5)]
    hand.settle(hand.claim_one(ids[0]), Move.COMPLETE, 0)
    page = api.get(JOBS).json()
    assert [job["job_id"] for job in page["items"]] == ids[::-1]
    assert {name: value for name, value in page.items() if name != "items"} == {
        "total": 5,
        "total_is_exact": True,
        "limit": 50,
        "offset": 0,
    }
    whole = show(api, ids[0])
    assert page["items"][-1] == {
        name: value for name, value in whole.items() if name not in {"payload", "result", "steps", "executions"}
    }
    page = api.get(f"{JOBS}?limit=2&offset=2").json()
    assert ([job["job_id"] for job in page["items"]], page["total"]) == (ids[2:0:-1], 5)
    assert (page["limit"], page["offset"]) == (2, 2)
    page = api.get(f"{JOBS}?offset=10000").json()
    assert (page["items"], page["total"]) == ([], 5)


def test_jobs_are_found_by_every_filter(api: Api, hand: Hand) -> None:
    event = api.post("/api/v1/webhooks/open", b'{"n":1}').json()["event_id"]
    planned = job_id(time.time_ns())
    hand.add(NewJob(planned, "crm", (StepPlan("post", "crm", "post"),), event_id=EventId(event)))
    finished = start(api)
    run = post(api, "/api/v1/pipeline", {"initial_value": 1}).json()["job_id"]
    hand.settle(next(job for job in hand.claim(3) if job.id == finished), Move.FAIL, error="no")

    def found(query: str) -> list[str]:
        page = api.get(f"{JOBS}?{query}").json()
        assert page["total"] == len(page["items"])
        return [job["job_id"] for job in page["items"]]

    assert found("") == [run, finished, planned]
    assert found("connector_name=crm") == found(f"event_id={event}") == [planned]
    assert found("flow=pipeline") == [run]
    assert found("status=error") == found("status=error&connector_name=echo") == [finished]
    assert found("status=in_progress") == [run, planned]
    assert found("status=error&connector_name=crm") == found("status=completed") == found("flow=") == []
    for nothing in (f"event_id={NOBODY}", "event_id=x", "event_id=%00", "connector_name=%00", "flow=%00", "flow=%ff"):
        assert found(nothing) == [], nothing


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1000000000", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("offset=10001", "offset"),
        ("offset=1.5", "offset"),
        ("status=unknown", "status"),
        ("status=%00", "status"),
        ("connector_name=" + "x" * 257, "connector_name"),
        ("event_id=" + "x" * 257, "event_id"),
    ],
)
def test_bad_questions_are_answered_clearly(api: Api, query: str, field: str) -> None:
    status, code, told = problem(api.get(f"{JOBS}?{query}"))
    assert (status, code) == (422, "invalid_request")
    assert [fault["field"] for fault in told["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "kind", "payload"),
    [
        (b'{"n": %d}' % LARGE, "application/json", {"n": LARGE}),
        (b'{"n": 1e400}', "application/json", {"n": None}),
        (b"a=1&b=x", "application/x-www-form-urlencoded", {"a": "1", "b": "x"}),
        (b"\xff\0", "application/octet-stream", {"body_b64": "/wA="}),
    ],
)
def test_an_event_shows_its_jobs_and_they_show_its_body(
    api: Api, hand: Hand, body: bytes, kind: str, payload: Any
) -> None:
    event = api.post("/api/v1/webhooks/open", body, content_type=kind).json()["event_id"]
    ids = [job_id(time.time_ns()) for _ in range(2)]
    assert ids == sorted(ids)
    hand.add(*(NewJob(one, "crm", (StepPlan("post", "crm", "post"),), event_id=EventId(event)) for one in ids))
    hand.settle(hand.claim_one(ids[0]), Move.FAIL, error="post: no")
    shown = api.get(f"/api/v1/events/{event}").json()
    (job,) = (job for job in shown["jobs"] if job["job_id"] == ids[0])
    assert job == {
        "job_id": ids[0],
        "status": "error",
        "connector_name": "crm",
        "flow": None,
        "attempt": 1,
        "created_at": job["created_at"],
        "updated_at": job["updated_at"],
        "error_message": "post: no",
    }
    assert [one["job_id"] for one in shown["jobs"]] == ids[::-1]
    for one in ids:
        seen = show(api, one)
        assert (seen["payload"], seen["event_id"]) == (payload, event)


def test_a_job_outlives_its_event(api: Api, hand: Hand) -> None:
    one, gone = job_id(time.time_ns()), event_id(time.time_ns())
    hand.add(NewJob(one, "crm", (StepPlan("post", "crm", "post"),), event_id=gone))
    assert show(api, one)["payload"] is None


def test_a_partial_result_is_seen_while_it_runs_and_survives_a_failure(api: Api, hand: Hand) -> None:
    job_id = start_pipeline(api)
    assert seen(api, job_id) == ("pending", None)
    claimed = hand.claim_one(job_id)
    assert seen(api, job_id) == ("in_progress", None)
    hand.record(claimed, 15)
    assert seen(api, job_id) == ("in_progress", 15)
    hand.record(claimed, 15, 30)
    assert seen(api, job_id) == ("in_progress", 30)
    steps = [(step["name"], step["status"], step["output"]) for step in show(api, job_id)["steps"]]
    assert steps == [("add", "completed", 15), ("multiply", "completed", 30), ("subtract", "pending", None)]
    hand.settle(claimed, Move.FAIL, 15, 30, error="subtract: no")
    assert seen(api, job_id) == ("error", 30)
    assert api.get(f"{PIPELINE}/{job_id}").json()["error_message"] == "subtract: no"
    assert post(api, f"{JOBS}/{job_id}/retry").status_code == 202
    assert seen(api, job_id) == ("pending", 30), "it goes on where it failed"
    resumed = hand.claim_one(job_id)
    assert [step.output for step in resumed.steps] == [15, 30, None]
    hand.settle(resumed, Move.COMPLETE, 15, 30, 20)
    assert seen(api, job_id) == ("completed", 20)


@pytest.mark.parametrize(
    ("move", "status", "shown"),
    [(Move.POSTPONE, JobStatus.RETRYING, "in_progress"), (Move.PARK, JobStatus.WAITING, "in_progress")],
)
def test_a_run_that_waits_is_in_progress(api: Api, hand: Hand, move: Move, status: JobStatus, shown: str) -> None:
    job_id = start_pipeline(api)
    hand.settle(hand.claim_one(job_id), move, 15, delay_seconds=3600.0)
    assert show(api, job_id)["status"] == status
    assert seen(api, job_id) == (shown, 15)


def test_a_cancelled_run_ends_in_error_and_says_so(api: Api) -> None:
    job_id = start_pipeline(api)
    assert post(api, f"{JOBS}/{job_id}/cancel").status_code == 202
    assert api.get(f"{PIPELINE}/{job_id}").json() == {
        "job_id": job_id,
        "status": "error",
        "result": None,
        "error_message": "it was cancelled",
    }


def test_a_job_of_another_kind_is_no_run(api: Api) -> None:
    status, code, told = problem(api.get(f"{PIPELINE}/{start(api)}"))
    assert (status, code) == (404, "unknown_job")
    assert "/api/v1/jobs/" in told["detail"]
