"""Asking for jobs by HTTP, as scripts do."""

import json
from typing import Any

import httpx

from tests.e2e.api import ADMIN_KEY, CLIENT, Api

JOBS = "/api/v1/jobs"
PIPELINE = "/api/v1/pipeline"


def post(api: Api, path: str, content: Any = None, **headers: str) -> httpx.Response:
    """As scripts do; texts and bytes are sent as they are."""
    body = content if isinstance(content, bytes | str) else json.dumps(content)
    told = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json", **headers}
    return CLIENT.post(f"{api.url}{path}", content=body, headers=told)


def start(api: Api, payload: Any = None, connector_name: str = "echo") -> str:
    answer = post(api, JOBS, {"connector_name": connector_name, "payload": payload})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def show(api: Api, job_id: str) -> dict[str, Any]:
    answer = api.get(f"{JOBS}/{job_id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def problem(answer: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    content = answer.json()
    assert content["status"] == answer.status_code
    return answer.status_code, content["code"], content


def start_pipeline(api: Api, value: int = 10) -> str:
    return str(post(api, PIPELINE, {"initial_value": value}).json()["job_id"])


def seen(api: Api, job_id: str) -> tuple[str, Any]:
    """Status and result of a run."""
    content = api.get(f"{PIPELINE}/{job_id}").json()
    assert content["job_id"] == job_id
    return content["status"], content["result"]
