"""What the leases of workers keep to."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.core.domain.job import JobStatus
from app.core.ports.job_claims import Rescued
from tests.conformance.jobs import JobKit, Place, a_place, job_kit
from tests.jobs import a_job


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each place, empty."""
    return a_place(request)


@pytest.fixture
async def kit(place: Place) -> AsyncIterator[JobKit]:
    async with job_kit(place) as made:
        yield made


async def test_a_lease_lasts_as_long_as_it_was_begun_for(kit: JobKit) -> None:
    worker = await kit.worker(100)
    await kit.let_pass(80)
    assert await kit.claims.rescue() == Rescued(0, 0, 0)
    await kit.let_pass(40)
    assert await kit.claims.rescue() == Rescued(1, 0, 0)
    assert await kit.workers.renew(worker, 100) is False


async def test_a_renewed_lease_ends_so_many_seconds_from_then(kit: JobKit) -> None:
    """Later or sooner than before."""
    worker = await kit.worker(100)
    for _ in range(3):
        await kit.let_pass(80)
        assert await kit.workers.renew(worker, 100) is True
    assert await kit.workers.renew(worker, 10) is True
    await kit.let_pass(20)
    assert await kit.workers.renew(worker, 100) is False


async def test_a_lease_that_has_ended_is_not_revived(kit: JobKit) -> None:
    """Even before anybody came for its jobs: somebody may be about to."""
    worker = await kit.worker(10)
    (job,) = await kit.claimed(worker, a_job())
    await kit.let_pass(20)
    assert await kit.workers.renew(worker, 100) is False
    assert await kit.claims.claim(worker, 1) == []
    assert await kit.claims.rescue() == Rescued(1, 1, 0)
    assert await kit.workers.renew(worker, 100) is False
    assert (await kit.job(job.id)).status is JobStatus.RETRYING


async def test_a_worker_that_was_never_there_has_no_lease(kit: JobKit) -> None:
    stranger = str(uuid4())
    assert await kit.workers.renew(stranger, 100) is False
    await kit.workers.leave(stranger)
    assert await kit.claims.rescue() == Rescued(0, 0, 0)


async def test_what_a_worker_still_has_when_it_leaves_is_taken_by_the_next_rescue(kit: JobKit) -> None:
    """And by nobody before; leaving twice is no error."""
    worker, other = await kit.worker(), await kit.worker()
    (job,) = await kit.claimed(worker, a_job())
    await kit.workers.leave(worker)
    await kit.workers.leave(worker)
    assert await kit.workers.renew(worker, 100) is False
    assert await kit.claims.claim(other, 1) == []
    assert await kit.claims.rescue() == Rescued(0, 1, 0)
    assert [again.id for again in await kit.claims.claim(other, 1)] == [job.id]


async def test_each_worker_has_a_lease_of_its_own(kit: JobKit) -> None:
    short, long = await kit.worker(10), await kit.worker(100)
    await kit.let_pass(20)
    assert (await kit.workers.renew(short, 100), await kit.workers.renew(long, 100)) == (False, True)


async def test_a_lease_that_is_begun_again_because_no_answer_came_is_the_same(kit: JobKit) -> None:
    worker = await kit.worker(10)
    await kit.workers.enlist(worker, "test", 100)
    await kit.let_pass(20)
    assert await kit.workers.renew(worker, 100) is True
