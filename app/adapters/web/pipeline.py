"""The built-in flow: add 5, multiply by 2, subtract 10. It shows that everything works, from a request to a result."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.adapters.web.job_views import PipelineRun, PipelineStatus, pipeline_run
from app.adapters.web.jobs import STARTING, Starting
from app.adapters.web.json_body import read_object
from app.adapters.web.responses import ExactJSON, problem
from app.core.domain.connector import Json
from app.core.domain.document import kind
from app.core.domain.errors import Fault, Invalid
from app.core.domain.flow import PIPELINE
from app.core.use_cases.browse_jobs import BrowseJobs

PREFIX = "/api/v1/pipeline"
MOST_DIGITS = 4_000
"""Python writes no integer of more than 4,300 digits, and the results are a little longer than what they begin with."""
_BOUND = 10**MOST_DIGITS

_NEW_RUN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "initial_value": {
                            "type": "integer",
                            "description": f"of at most {MOST_DIGITS:,} digits; every result is exact",
                        }
                    },
                    "required": ["initial_value"],
                    "additionalProperties": False,
                },
                "example": {"initial_value": 10},
            }
        },
    }
}


class StartedRun(BaseModel):
    """A run that waits for a worker."""

    job_id: str
    status: PipelineStatus
    trace_id: str


def make_router(starting: Starting, browse: BrowseJobs) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix=PREFIX, tags=["pipeline"])

    @router.post(
        "",
        summary="Run the built-in flow on a number: add 5, multiply by 2, subtract 10",
        status_code=202,
        response_model=StartedRun,
        responses=STARTING,
        openapi_extra=_NEW_RUN,
    )
    async def start(request: Request) -> Response:
        given = await read_object(request, starting.body_limit_bytes, ["initial_value"])
        value = _whole_number(given)
        return await starting.started(
            lambda traceparent: starting.start.pipeline(value, traceparent=traceparent), PREFIX, 202
        )

    @router.get("/{job_id}", summary="Show how far a run has got", response_model=PipelineRun)
    async def show(job_id: str) -> Response:
        job = await browse.get(job_id)
        if job is None or job.flow != PIPELINE:
            text = "No run of the pipeline has this id. Other jobs are at /api/v1/jobs/{id}."
            return problem("unknown_job", detail=text)
        return ExactJSON(pipeline_run(job))

    return router


def _whole_number(given: Mapping[str, Json]) -> int:
    value = given.get("initial_value")
    if "initial_value" not in given:
        fault = "is missing"
    elif isinstance(value, float):
        fault = "must be a whole number, written without a point and without an exponent"
    elif isinstance(value, bool) or not isinstance(value, int):
        fault = f"must be a whole number; this is {kind(value)}"
    elif not -_BOUND < value < _BOUND:
        fault = f"has more than {MOST_DIGITS:,} digits"
    else:
        return value
    raise Invalid([Fault("initial_value", fault)])
