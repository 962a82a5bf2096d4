"""Jobs and runs of the pipeline as they are started, by the real process: what is kept, and what is refused."""

import json
import re

import pytest

from app.core.domain.flow import PIPELINE_STEPS
from app.core.domain.job import Move
from app.core.domain.step import StepPlan
from tests.e2e.api import Api
from tests.e2e.jobs import JOBS, PIPELINE, post, problem, seen, show
from tests.working import Hand

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LARGE = 2**64 + 1


@pytest.fixture
def hand(api: Api) -> Hand:
    return Hand(api.database_url)


def test_a_started_job_waits_and_is_shown(api: Api) -> None:
    answer = post(api, JOBS, {"connector_name": "echo", "payload": {"n": LARGE, "é": [1.5, None, "\ud800\0"]}})
    assert answer.status_code == 201
    started = answer.json()
    trace_id = answer.headers["x-trace-id"]
    assert answer.headers["location"] == f"{JOBS}/{started['job_id']}"
    assert started == {
        "job_id": started["job_id"],
        "status": "pending",
        "attempt": 1,
        "connector_name": "echo",
        "trace_id": trace_id,
    }
    shown = show(api, started["job_id"])
    assert TIME.fullmatch(shown["created_at"])
    assert TIME.fullmatch(shown["updated_at"])
    assert shown == {
        "job_id": started["job_id"],
        "flow": None,
        "connector_name": "echo",
        "status": "pending",
        "payload": {"n": LARGE, "é": [1.5, None, "\ud800\0"]},
        "result": None,
        "steps": [
            {
                "name": "echo",
                "status": "pending",
                "output": None,
                "error_message": None,
                "code": None,
                "tries": 0,
                "key": None,
            }
        ],
        "executions": [],
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "event_id": None,
        "trace_id": trace_id,
        "attempt": 0,
        "run": 1,
        "due_at": None,
        "error_message": None,
        "fingerprint": None,
    }
    (line,) = [line for line in api.lines("request.answered") if line["method"] == "POST"]
    assert line["trace_id"] == trace_id, "the log of the request leads to the job"


def test_what_is_started_is_what_a_worker_gets(api: Api, hand: Hand) -> None:
    described = {"path": "/orders", "json": {"n": LARGE, "text": "${event.body}"}}
    sent = [
        {"connector_name": "crm", "payload": [LARGE]},
        {"connector_name": "crm", "action": "put", "payload": None, "input": None},
        {"connector_name": "crm", "action": None, "input": described},
    ]
    answers = [post(api, JOBS, content).json() for content in sent]
    first, second, third = hand.claim(3)
    assert [job.id for job in (first, second, third)] == [answer["job_id"] for answer in answers]
    assert first.plan == (StepPlan("crm", "crm", "", None),)
    assert json.loads(first.payload or "") == [LARGE]
    assert second.plan == (StepPlan("put", "crm", "put", None),)
    assert second.payload == "null"
    assert third.plan == (StepPlan("crm", "crm", "", described),)
    assert {job.traceparent.split("-")[1] for job in (first, second, third)} == {a["trace_id"] for a in answers}
    assert len({answer["trace_id"] for answer in answers}) == 3
    assert show(api, third.id)["payload"] == described


BAD = [
    ("", "body", "not JSON"),
    ("{", "body", "not JSON"),
    ("[]", "body", "must be an object; this is a list"),
    ("null", "body", "must be an object; this is empty"),
    ('"echo"', "body", "must be an object; this is a text"),
    (b"\xff", "body", "not UTF-8"),
    ('{"connector_name": "echo", "payload": NaN}', "body", "NaN"),
    ('{"connector_name": "echo", "payload": -Infinity}', "body", "Infinity"),
    ('{"connector_name": "echo", "payload": [1e400]}', "payload", "cannot be written as JSON"),
    ('{"connector_name": "echo", "input": {"n": 1e400}}', "input", "cannot be written as JSON"),
    ('{"connector_name": "echo", "payload": ' + "9" * 4301 + "}", "body", "4300 digits"),
    ('{"connector_name": "echo", "payload": ' + "[" * 64 + "]" * 64 + "}", "body", "deeper than 64 levels"),
    ('{"connector_name": "echo", "payload": ' + "[" * 100_000 + "}", "body", "deeper than 64 levels"),
    ({"payload": 1}, "connector_name", "is missing"),
    ({"connector_name": "echo"}, "payload", "is missing: give 'payload'"),
    ({"connector_name": "echo", "input": None}, "payload", "is missing: give 'payload'"),
    ({"connector_name": "echo", "payload": None, "input": {}}, "input", "give one of the two"),
    ({"connector_name": "echo", "input": [1]}, "input", "must be an object; this is a list"),
    ({"connector_name": "", "payload": 1}, "connector_name", "must be a text; this is an empty text"),
    ({"connector_name": None, "payload": 1}, "connector_name", "must be a text; this is empty"),
    ({"connector_name": ["echo"], "payload": 1}, "connector_name", "must be a text; this is a list"),
    ({"connector_name": "a\0b", "payload": 1}, "connector_name", "cannot be printed"),
    ({"connector_name": "\ud800", "payload": 1}, "connector_name", "cannot be printed"),
    ({"connector_name": "\x1b[31m", "payload": 1}, "connector_name", "cannot be printed"),
    ({"connector_name": "x" * 257, "payload": 1}, "connector_name", "more than 256 characters"),
    ({"connector_name": "echo", "payload": 1, "action": 1}, "action", "must be a text; this is a number"),
    ({"connector_name": "echo", "payload": 1, "action": "\0"}, "action", "cannot be printed"),
    ({"connector_name": "echo", "payload": 1, "status": "completed"}, "status", "is not known here"),
    ({"connector_name": "echo", "payload": 1, "\ud800\x1b": 1}, "\\xed\\xa0\\x80\\x1b", "is not known here"),
]


def test_what_is_no_job_is_answered_with_the_field_at_fault(api: Api) -> None:
    """Never a 500, and nothing is kept."""
    for content, field, text in BAD:
        status, code, told = problem(post(api, JOBS, content))
        assert (status, code) == (422, "invalid_request"), content
        (fault,) = told["errors"]
        assert fault["field"] == field, (content, fault)
        assert text in fault["message"], (content, fault)
    assert api.get(JOBS).json()["total"] == 0


def test_all_faults_are_told_at_once_but_not_without_end(api: Api) -> None:
    _, _, told = problem(post(api, JOBS, {"connector_name": 1, "action": 1}))
    assert [fault["field"] for fault in told["errors"]] == ["connector_name", "action", "payload"]
    _, _, told = problem(post(api, JOBS, {str(number): 1 for number in range(1000)}))
    assert len(told["errors"]) == 10


@pytest.mark.parametrize("path", [JOBS, "/api/v1/pipeline"])
def test_a_body_that_is_too_large_is_refused_and_one_at_the_limit_is_not(api: Api, path: str) -> None:
    for size in (1_000_001, 5_000_000):
        status, code, told = problem(post(api, path, b" " * size))
        assert (status, code, told["limit_bytes"]) == (413, "body_too_large", 1_000_000)
    whole = '{"connector_name":"echo","payload":1,"initial_value":1}'
    _, _, told = problem(post(api, path, whole.ljust(1_000_000)))
    assert "is not known here" in told["errors"][0]["message"], "it was read whole, and has a field too many"


def test_a_page_in_a_browser_cannot_start_jobs_unasked(api: Api) -> None:
    """What it may send to others without asking them first is no JSON."""
    content = {"connector_name": "echo", "payload": 1}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=json", ""):
        status, code, _ = problem(post(api, JOBS, content, **{"Content-Type": kind}))
        assert (status, code) == (415, "unsupported_media_type"), kind
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"):
        assert post(api, JOBS, content, **{"Content-Type": kind}).status_code == 201, kind


WHOLE = {
    "10": 10,
    "0": 0,
    "-5": -5,
    "10^30": 10**30,
    "-(2^64)-1": -(2**64) - 1,
    "10^3999": 10**3999,
    "-(10^3999)": -(10**3999),
    "10^4000-1": 10**4000 - 1,
}


@pytest.mark.parametrize("value", WHOLE.values(), ids=WHOLE)
def test_it_begins_with_a_whole_number_of_any_size(api: Api, hand: Hand, value: int) -> None:
    answer = post(api, PIPELINE, {"initial_value": value})
    assert answer.status_code == 202
    content = answer.json()
    job_id = content["job_id"]
    assert content == {"job_id": job_id, "status": "pending", "trace_id": answer.headers["x-trace-id"]}
    assert answer.headers["location"] == f"{PIPELINE}/{job_id}"
    claimed = hand.claim_one(job_id)
    assert claimed.plan == PIPELINE_STEPS
    assert json.loads(claimed.payload or "") == {"initial_value": value}
    result = (value + 5) * 2 - 10
    hand.settle(claimed, Move.COMPLETE, value + 5, (value + 5) * 2, result)
    assert seen(api, job_id) == ("completed", result)
    shown = show(api, job_id)
    assert (shown["flow"], shown["connector_name"], shown["result"]) == ("pipeline", "arithmetic", result)
    assert shown["payload"] == {"initial_value": value}


WRONG = [
    ("1.5", "whole number"),
    ("10.0", "whole number"),
    ("1e2", "whole number"),
    ("1e999", "whole number"),
    ('"10"', "whole number; this is a text"),
    ("true", "whole number; this is true"),
    ("false", "whole number; this is false"),
    ("null", "whole number; this is empty"),
    ("[10]", "whole number; this is a list"),
    ("{}", "whole number; this is a mapping"),
    (f"1{'0' * 4000}", "more than 4,000 digits"),
    (f"-1{'0' * 4000}", "more than 4,000 digits"),
]


@pytest.mark.parametrize(("value", "text"), WRONG, ids=[value[:10] for value, _ in WRONG])
def test_anything_else_is_refused_with_the_field(api: Api, value: str, text: str) -> None:
    status, code, told = problem(post(api, PIPELINE, f'{{"initial_value": {value}}}'))
    assert (status, code) == (422, "invalid_request")
    (fault,) = told["errors"]
    assert fault["field"] == "initial_value"
    assert text in fault["message"]
    assert api.get(JOBS).json()["total"] == 0


def test_bodies_that_name_no_number_are_refused(api: Api) -> None:
    expected = {
        "{}": ("initial_value", "is missing"),
        '{"initial_value": 1, "more": 1}': ("more", "known are initial_value"),
        '{"initial_value": ' + "9" * 5000 + "}": ("body", "4300 digits"),
        '{"initial_value": NaN}': ("body", "NaN"),
        "[10]": ("body", "must be an object"),
        "": ("body", "not JSON"),
    }
    for content, (field, text) in expected.items():
        status, _, told = problem(post(api, PIPELINE, content))
        (fault,) = told["errors"]
        assert (status, fault["field"]) == (422, field), content
        assert text in fault["message"], content


def test_connectors_are_listed_with_what_they_can_do(api: Api) -> None:
    items = {item["name"]: item for item in api.get("/api/v1/connectors").json()["items"]}
    assert list(items) == sorted(items)
    assert {"arithmetic", "echo", "http"} <= set(items)
    assert items["echo"]["actions"] == [
        {"name": "echo", "title": "Give the input back, unchanged", "effect": "idempotent", "input_schema": {}}
    ]
    assert (items["echo"]["needs_settings"], items["http"]["needs_settings"]) == (False, True)
    assert "base_url" in items["http"]["settings_schema"]["required"]
    assert {"token", "password"} <= set(items["http"]["secrets"])
    assert items["http"]["actions"][0]["effect"] == "keyed"


def test_the_description_says_how_jobs_are_started(api: Api) -> None:
    schema = api.get("/openapi.json").json()
    new = schema["paths"][JOBS]["post"]
    assert new["requestBody"]["content"]["application/json"]["schema"]["required"] == ["connector_name"]
    assert {"201", "413", "415", "422"} <= set(new["responses"])
    run = schema["paths"]["/api/v1/pipeline"]["post"]
    assert run["requestBody"]["content"]["application/json"]["example"] == {"initial_value": 10}
    assert {"202", "409", "404"} <= set(schema["paths"][f"{JOBS}/{{job_id}}/retry"]["post"]["responses"])
