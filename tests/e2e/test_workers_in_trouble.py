"""What workers do when jobs, sinks or they themselves misbehave: two real ones on one queue."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import asyncpg
import pytest

from app.adapters.engines.heart import EXIT_CODE
from app.core.domain.ids import job_id
from app.core.domain.job import JobStatus, NewJob
from app.core.domain.step import StepPlan, idempotency_key
from tests.conftest import Servers
from tests.e2e.api import until
from tests.e2e.conftest import configure, rows
from tests.e2e.job_stories import Jobs, endings
from tests.e2e.plugins import installed
from tests.e2e.sink import Sink, sink
from tests.e2e.worker import Worker, make_worker

LEASE_SECONDS = 2.0
RESCUE_SECONDS = 0.3
PACE = {
    "OPSCONNECT_WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
    "OPSCONNECT_WORKER_HEARTBEAT_SECONDS": "0.4",
    "OPSCONNECT_WORKER_STOP_BEFORE_SECONDS": "0.5",
    "OPSCONNECT_WORKER_RESCUE_SECONDS": str(RESCUE_SECONDS),
}
SLACK_SECONDS = 3.0
"""This machine may be busy."""


@pytest.fixture(scope="module")
def book() -> Iterator[Sink]:
    with sink() as book:
        yield book


@pytest.fixture(scope="module")
def pair(servers: Servers, book: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Worker]]:
    """Two workers for all stories; whoever ends one starts it again."""
    url = servers.create_database()
    folder = tmp_path_factory.mktemp("workers")
    connections = [
        {
            "name": "sink",
            "connector": "http",
            "settings": {"base_url": book.url},
            "allow_private": ["127.0.0.1"],
        },
        {"name": "lines", "connector": "file", "settings": {"path": "lines.jsonl"}},
    ]
    configure(url, connections=connections)
    plugin = installed(folder / "site", "troubled", "tests.e2e.troubled")
    more = {**PACE, **plugin, "OPSCONNECT_DATA_DIR": str(folder / "data")}
    workers = [make_worker(url, folder, f"worker-{number}", **more) for number in range(2)]
    with ExitStack() as stack:
        for worker in workers:
            worker.start(wait=False)
            stack.callback(worker.kill)
        until(lambda: all(worker._is_ready() for worker in workers), 30, "the start")
        yield workers
    asyncio.run(servers.drop_database(url))


@pytest.fixture
def jobs(pair: list[Worker]) -> Jobs:
    """Both workers may be there or about to be; a story that wants them waits."""
    return Jobs(pair[0].database_url)


def hits(book: Sink, job: str, count: int, seconds: float = 10.0) -> list[int]:
    """Wait for so many requests of a job on `sink`; give their numbers."""
    key = idempotency_key(job, "sink", "post", 1)
    until(lambda: book.keys[key] >= count, seconds, f"{count} requests with {key}")
    return [hit.number for hit in book.hits if hit.key == key]


def test_a_job_of_an_unknown_connector_is_a_dead_letter_that_names_the_known_ones(jobs: Jobs) -> None:
    job = jobs.become(jobs.start("teleport", {"to": "mars"}))
    assert job.status is JobStatus.ERROR
    for known in ("'teleport'", "arithmetic", "http", "troubled"):
        assert known in str(job.error_message)
    assert endings(job) == ["failed"]


def test_what_is_done_so_far_can_be_seen_while_a_job_runs(jobs: Jobs, book: Sink) -> None:
    """The second step waits for the other side: the first one's output is the result meanwhile."""
    book.hold = True
    steps = (
        StepPlan("add", "arithmetic", "add", {"value": "${event.body.value}", "operand": 5}),
        StepPlan("tell", "sink", "post", {"json": "${steps.add.output}"}),
        StepPlan("double", "arithmetic", "multiply", {"value": "${steps.add.output}", "operand": 2}),
    )
    job = job_id(time.time_ns())
    jobs.add(NewJob(job, "arithmetic", steps, flow="sums", payload='{"value": 10}'))
    until(lambda: any(hit.body == b"15" for hit in book.hits))
    seen = jobs.get(job)
    assert (seen.status, seen.result) == (JobStatus.IN_PROGRESS, 15)
    assert [step.status.value for step in seen.steps] == ["completed", "running", "pending"]
    book.release()
    assert jobs.become(job).result == 30


def test_a_fresh_job_does_not_wait_behind_a_backlog_of_retries(jobs: Jobs) -> None:
    """Some seconds' worth of jobs are tried again when it comes."""
    step = StepPlan("wait", "troubled", "wait")
    seconds = '{"seconds": 0.2}'
    late = [NewJob(job_id(time.time_ns()), "troubled", (step,), flow="late", payload=seconds) for _ in range(1500)]
    jobs.add(*late, status=JobStatus.RETRYING)
    jobs.become(jobs.start("troubled", {"seconds": 0}, "wait"))
    left = asyncio.run(rows(jobs.url, "SELECT count(*) FROM open_jobs WHERE flow = 'late' AND status = 'retrying'"))
    assert left[0][0] > 200, "it came last, or this machine is too quick"
    asyncio.run(rows(jobs.url, "DELETE FROM open_jobs WHERE status = 'retrying'"))
    # Those that run are not to be lost with the workers of the next stories: twice, and they would have to run alone.
    until(lambda: not asyncio.run(rows(jobs.url, "SELECT FROM open_jobs WHERE flow = 'late'")), what="the last of them")


async def test_a_frozen_worker_that_goes_on_changes_nothing(
    jobs: Jobs, book: Sink, pair: list[Worker], tmp_path: Path
) -> None:
    """The other one has its jobs by then: one is done again under the same key, the unsafe one is parked.

    Before it was frozen it had its answer, and was about to write that: so it does when it goes on.
    """
    book.hold = True
    job = await asyncio.to_thread(jobs.start, "sink", {"n": 1}, "post")
    (first,) = await asyncio.to_thread(hits, book, job, 1)
    pid = await asyncio.to_thread(jobs.worker_of, job)
    frozen, other = sorted(pair, key=lambda worker: worker.pid != pid)
    other.freeze()  # so that the unsafe one is the same worker's
    unsafe = await asyncio.to_thread(jobs.start, "troubled", {"file": str(tmp_path / "book")}, "unsafe")
    await asyncio.to_thread(until, (tmp_path / "book").exists)
    session = await asyncpg.connect(jobs.url)
    async with session.transaction():
        await session.execute("SELECT FROM open_jobs WHERE id = $1 FOR UPDATE", job)
        book.release(first)
        await asyncio.to_thread(until, lambda: frozen.lines("jobs.not_written"), what="the try to write the answer")
        frozen.freeze()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while await session.fetchval(waiting):  # its last try has failed by then, and it does not know
            await asyncio.sleep(0.02)
    await session.close()
    other.thaw()
    _, second = await asyncio.to_thread(hits, book, job, 2, 2 * LEASE_SECONDS + SLACK_SECONDS)
    frozen.thaw()
    await asyncio.to_thread(_work_again, frozen, jobs)
    assert jobs_of(frozen, job) == ["lost"]
    seen = await asyncio.to_thread(jobs.get, job)
    assert (seen.status, endings(seen)) == (JobStatus.IN_PROGRESS, ["lost", "running"])
    book.release()
    done = await asyncio.to_thread(jobs.become, job)
    assert endings(done) == ["lost", "completed"]
    assert done.result["body"] == {"hit": second}
    parked = await asyncio.to_thread(jobs.become, unsafe, JobStatus.WAITING)
    assert endings(parked) == ["lost", "parked"]
    assert len((tmp_path / "book").read_text().splitlines()) == 1


def _work_again(worker: Worker, jobs: Jobs) -> None:
    """Wait until it has written how another job ended: it writes in the order in which it has something to tell."""
    before = len(worker.lines("execution.ended"))

    def ended() -> bool:
        jobs.start("echo", 1)
        return any(line["outcome"] == "completed" for line in worker.lines("execution.ended")[before:])

    until(ended, what="the end of another job")


def jobs_of(worker: Worker, job: str) -> list[str]:
    """How it says that its executions of a job ended."""
    return [line["outcome"] for line in worker.lines("execution.ended") if line["job_id"] == job]


def test_a_killed_worker_s_jobs_are_taken_over_in_time(jobs: Jobs, book: Sink, pair: list[Worker]) -> None:
    """Within a lease and a look for lost jobs; none is forgotten, and each effect has one key.

    Lines in a file are whole; one that was written and not confirmed may be there twice.
    """
    book.hold = True
    job = jobs.start("sink", {"n": 2}, "post")
    hits(book, job, 1)
    killed, other = sorted(pair, key=lambda worker: worker.pid != jobs.worker_of(job))
    file = Path(killed.more["OPSCONNECT_DATA_DIR"]) / "files" / "lines.jsonl"
    step = StepPlan("append", "lines", "append")
    new = [NewJob(job_id(time.time_ns()), "lines", (step,), payload=f"{number}") for number in range(200)]
    wanted = {idempotency_key(job.id, "lines", "append", 1): number for number, job in enumerate(new)}
    other.freeze()  # so that it is the other one's to take over
    jobs.add(*new)
    until(file.exists)
    killed.kill()
    other.thaw()
    hits(book, job, 2, LEASE_SECONDS + RESCUE_SECONDS + SLACK_SECONDS)
    killed.said_before = killed.log.stat().st_size
    killed.start(wait=False)
    book.release()
    assert endings(jobs.become(job)) == ["lost", "completed"]
    query = "SELECT count(*) FROM finished_jobs WHERE connector_name = 'lines' AND status = 'completed'"
    until(lambda: asyncio.run(rows(jobs.url, query))[0][0] == len(new), SLACK_SECONDS)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["key"]: line["input"] for line in lines} == wanted
    assert len(lines) <= len(new) + 100  # those that the killed one had in hand


def test_a_job_that_ends_its_worker_is_a_dead_letter_and_its_neighbours_are_not(jobs: Jobs, pair: list[Worker]) -> None:
    """Three workers ended with it before: it runs alone, and takes two more. Elsewhere systemd starts them again."""
    over = Event()

    def keep() -> None:
        while not over.wait(0.02):
            for worker in pair:
                if worker.ended:
                    worker.start(wait=False)

    keeper = Thread(target=keep)
    keeper.start()
    try:
        neighbours = [jobs.start("troubled", {"seconds": 0.6}, "wait") for _ in range(4)]
        poison = job_id(time.time_ns())
        jobs.add(NewJob(poison, "troubled", (StepPlan("die", "troubled", "die"),), payload="{}"), losses=3)
        neighbours += [jobs.start("troubled", {"seconds": 0.01}, "wait") for _ in range(4)]
        dead = jobs.become(poison, seconds=60)
        done = [jobs.become(job, seconds=20) for job in neighbours]
    finally:
        over.set()
        keeper.join()
    assert dead.status is JobStatus.ERROR
    assert endings(dead) == ["lost"] * 2
    assert "loss 5 of 5" in str(dead.error_message)
    assert [endings(job) for job in done] == [["completed"]] * 8, "it took a neighbour down"


def test_a_worker_whose_job_will_not_let_go_ends_itself(jobs: Jobs, pair: list[Worker]) -> None:
    """It says why and where, and others find the job as lost; this one for the fifth time."""
    until(lambda: all(worker._is_ready() for worker in pair), 30, "two workers")
    job = job_id(time.time_ns())
    jobs.add(NewJob(job, "troubled", (StepPlan("block", "troubled", "block"),), payload="{}"), losses=4)
    dead = jobs.become(job, seconds=2 * LEASE_SECONDS + SLACK_SECONDS)
    assert (dead.status, endings(dead)) == (JobStatus.ERROR, ["lost"])
    (stuck,) = (worker for worker in pair if worker.ended)
    assert stuck.stop() == EXIT_CODE
    said = stuck.log.read_text()
    assert "a job has held this worker for" in said
    assert "troubled.py" in said


def test_a_worker_that_is_told_to_leave_gives_back_what_does_not_end(jobs: Jobs, pair: list[Worker]) -> None:
    """One job ends in time; one sleeps, one holds a thread, and one does not let itself be stopped. Exit code 0."""
    leaving = next(worker for worker in pair if not worker.ended)
    for other in pair:
        if other is not leaving:
            other.kill()
    quick = jobs.start("troubled", {"seconds": 0.7}, "wait")
    held = [jobs.start("troubled", {"seconds": 3600}, action) for action in ("wait", "thread", "stubborn")]
    everybody = [quick, *held]
    until(lambda: all(jobs.get(job).status is JobStatus.IN_PROGRESS for job in everybody), what="the claims")
    started = time.monotonic()
    assert leaving.stop() == 0, leaving.log.read_text()[-2000:]
    assert time.monotonic() - started < 1 + 2 + SLACK_SECONDS, "drain, giving back, telemetry"
    assert endings(jobs.become(quick)) == ["completed"]
    for job in held:
        assert endings(jobs.become(job, JobStatus.PENDING)) == ["returned"]
    assert asyncio.run(rows(jobs.url, "SELECT name FROM workers WHERE lease_until > now()")) == []
    assert leaving.lines("stop.drained")
