"""The life of jobs in Postgres, as a state machine has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.jobs import JobKit, Place, job_kit
from tests.conftest import KEPT, empty
from tests.job_life import LIVES, JobLife
from tests.unit.catalog.fuzzed import fuzzed


def test_jobs_in_postgres_live_as_the_model_does(database_url: str) -> None:
    class InPostgres(JobLife):
        @asynccontextmanager
        async def open_kit(self) -> AsyncIterator[JobKit]:
            await empty(database_url, *KEPT)
            async with job_kit(Place("batched-postgres", database_url)) as kit:
                yield kit

    run_state_machine_as_test(InPostgres, settings=settings(LIVES, max_examples=fuzzed(usually=5).max_examples))
