"""The operator API: FastAPI for everything that is not a webhook, and the documentation of both."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.adapters.web import (
    audit,
    connectors,
    documentation,
    events,
    health,
    jobs,
    keys,
    pipeline,
    providers,
    refusals,
)
from app.adapters.web.json_body import BodyTooLarge, NotJson
from app.adapters.web.responses import problem
from app.core.application import Application
from app.core.domain.errors import Fault, Invalid, OutcomeUnknown, RowFault, Unavailable

_log = logging.getLogger(__name__)


def make_api(
    application: Application,
    *,
    version: str,
    draining: Callable[[], bool],
    metrics: Callable[[], tuple[bytes, str]],
    traceparent: Callable[[], str],
    body_limit_bytes: int,
) -> FastAPI:
    """Put the routes together. Nothing connects here.

    `traceparent` gives the W3C context of the request that is being served.
    """
    starting = jobs.Starting(application.start_job, traceparent, body_limit_bytes)
    api = FastAPI(title="OpsConnect", version=version, summary="Webhooks in, exactly once.")
    api.include_router(health.make_router(application.check_health, version=version, draining=draining))
    api.include_router(events.make_router(application.browse_events, application.browse_jobs))
    api.include_router(refusals.make_router(application.browse_refusals, application.release_refusal))
    api.include_router(providers.make_router(application.browse_providers))
    api.include_router(keys.make_router(application.manage_keys))
    api.include_router(audit.make_router(application.browse_audit))
    api.include_router(jobs.make_router(starting, application.change_job, application.browse_jobs))
    api.include_router(pipeline.make_router(starting, application.browse_jobs))
    api.include_router(connectors.make_router(application.browse_connectors))

    @api.get("/metrics", include_in_schema=False)
    def show_metrics() -> Response:
        content, content_type = metrics()
        return Response(content, media_type=content_type)

    _answer_problems(api)
    documentation.describe(api)
    return api


def _answer_problems(api: FastAPI) -> None:
    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        faults = [Fault(".".join(str(part) for part in fault["loc"][1:]), fault["msg"]) for fault in error.errors()]
        return problem("invalid_request", faults=faults)

    @api.exception_handler(Invalid)
    async def faulty(_: Request, error: Invalid) -> Response:
        return problem("invalid_request", faults=error.faults)

    @api.exception_handler(NotJson)
    async def no_json(_: Request, __: NotJson) -> Response:
        return problem("unsupported_media_type")

    @api.exception_handler(BodyTooLarge)
    async def too_large(_: Request, error: BodyTooLarge) -> Response:
        detail = "The body is larger than the API takes; see 'limit_bytes'."
        response = problem("body_too_large", detail=detail, limit_bytes=error.limit_bytes)
        response.headers["connection"] = "close"  # the rest of it may still be on its way
        return response

    @api.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return problem("client_disconnected")

    @api.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        response = problem(code, detail=str(error.detail) if code == "invalid_request" else None)
        response.headers.update(error.headers or {})
        return response

    @api.exception_handler(OutcomeUnknown)
    async def unknown(_: Request, error: OutcomeUnknown) -> Response:
        _log.warning("%s", error)
        return problem("outcome_unknown")

    @api.exception_handler(RowFault)
    @api.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Exception) -> Response:
        _log.warning("%s", error)
        return problem("unavailable", detail="The database cannot be asked now. Try again later.")

    @api.exception_handler(Exception)
    async def defect(_: Request, __: Exception) -> Response:
        return problem("internal_error")
