"""Health for people (`/health`), for the supervisor (`/health/live`) and for the load balancer (`/health/ready`)."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.core.use_cases.check_health import CheckHealth


def make_router(check_health: CheckHealth, *, version: str, draining: Callable[[], bool]) -> APIRouter:
    """Make the three routes."""
    router = APIRouter(prefix="/api/v1/health", tags=["health"])

    @router.get("", summary="Can webhooks be taken in, and how are the dependencies?")
    async def show() -> JSONResponse:
        health = await check_health()
        content: dict[str, object] = {"status": health.status}
        if health.reason:
            content["reason"] = health.reason
        content |= {f"{name}_latency_ms": latency for name, latency in health.latencies_ms.items()}
        return JSONResponse({**content, "version": version}, 503 if health.status == "unhealthy" else 200)

    @router.get("/live", summary="Is the process alive? Never asks the database.")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/ready", summary="May this process receive traffic?")
    async def ready() -> JSONResponse:
        if draining():
            return JSONResponse({"status": "draining"}, 503)
        health = await check_health()
        if health.status == "unhealthy":
            return JSONResponse({"status": "not ready", "reason": health.reason}, 503)
        return JSONResponse({"status": "ready"})

    return router
