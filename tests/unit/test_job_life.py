"""The life of jobs in memory, as a state machine has it."""

from contextlib import AbstractAsyncContextManager

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.jobs import JobKit, Place, job_kit
from tests.job_life import LIVES, JobLife
from tests.unit.catalog.fuzzed import fuzzed


def test_jobs_in_memory_live_as_the_model_does() -> None:
    class InMemory(JobLife):
        def open_kit(self) -> AbstractAsyncContextManager[JobKit]:
            return job_kit(Place("memory", ""))

    run_state_machine_as_test(InMemory, settings=settings(LIVES, max_examples=fuzzed(usually=50).max_examples))
