"""Starting a job directly: somebody wants an action of a connection run on a payload, without any event."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.core.domain.connector import Json
from app.core.domain.flow import PIPELINE, PIPELINE_STEPS
from app.core.domain.ids import JobId, job_id
from app.core.domain.job import NewJob
from app.core.domain.json_text import json_ascii
from app.core.domain.retry import RetryPolicy
from app.core.domain.step import StepPlan
from app.core.ports.job_store import JobStore
from app.core.ports.wake_ups import WakeUps


@dataclass(frozen=True, slots=True)
class StartJob:
    """Keep a job for the workers."""

    jobs: JobStore
    wake_ups: WakeUps
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Of the step of a job on a connector."""
    clock_ns: Callable[[], int] = time.time_ns

    async def on_connector(
        self,
        connector_name: str,
        payload: Json,
        *,
        action: str | None = None,
        described: Mapping[str, Json] | None = None,
        traceparent: str = "",
    ) -> JobId:
        """Have an action run (None: the first one) on a payload as it is, or on an input that describes what to do.

        Whether there is such a connection, connector or action is found out by the worker: where there is none, the job
        ends in `error`. Raises `ValueError` for a payload that JSON cannot say, and what `JobStore.add` raises.
        """
        step = StepPlan(action or connector_name, connector_name, action or "", described, self.retry)
        return await self._start(connector_name, (step,), payload, None, traceparent)

    async def pipeline(self, initial_value: int, *, traceparent: str = "") -> JobId:
        """Have the built-in flow run on a number. Raises what `JobStore.add` raises."""
        payload = {"initial_value": initial_value}
        return await self._start(PIPELINE_STEPS[0].use, PIPELINE_STEPS, payload, PIPELINE, traceparent)

    async def _start(
        self, connector_name: str, steps: tuple[StepPlan, ...], payload: Json, flow: str | None, traceparent: str
    ) -> JobId:
        job = NewJob(
            id=job_id(self.clock_ns()),
            connector_name=connector_name,
            steps=steps,
            flow=flow,
            payload=json_ascii(payload),
            traceparent=traceparent,
        )
        await self.jobs.add([job])
        self.wake_ups.hint()
        return job.id
