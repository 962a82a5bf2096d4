"""What workers do when jobs, sinks or they themselves misbehave: two real ones on one queue."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from app.core.domain.ids import job_id
from app.core.domain.job import JobStatus, NewJob
from app.core.domain.step import StepPlan, idempotency_key
from tests.conftest import Servers
from tests.e2e.api import until
from tests.e2e.conftest import configure, rows
from tests.e2e.job_stories import Jobs, endings
from tests.e2e.sink import Sink, sink
from tests.e2e.troubled import installed
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
    more = {**PACE, **installed(folder / "site"), "OPSCONNECT_DATA_DIR": str(folder / "data")}
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
    return Jobs(pair[0].database_url)


def again(worker: Worker) -> None:
    """Start it once more, with a log of this life alone."""
    worker.said_before = worker.log.stat().st_size
    worker.start()


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


def test_a_frozen_worker_that_goes_on_writes_nothing(
    jobs: Jobs, book: Sink, pair: list[Worker], tmp_path: Path
) -> None:
    """The other one has its jobs by then: one is done again under the same key, the unsafe one is parked.

    The answer to its own request comes in first, and it would like to record that.
    """
    book.hold = True
    job = jobs.start("sink", {"n": 1}, "post")
    (first,) = hits(book, job, 1)
    frozen = next(worker for worker in pair if worker.pid == jobs.worker_of(job))
    other = next(worker for worker in pair if worker is not frozen)
    other.freeze()  # so that the unsafe one is the same worker's
    unsafe = jobs.start("troubled", {"file": str(tmp_path / "book")}, "unsafe")
    until((tmp_path / "book").exists)
    frozen.freeze()
    other.thaw()
    _, second = hits(book, job, 2, 2 * LEASE_SECONDS + SLACK_SECONDS)
    book.release(first)
    frozen.thaw()
    until(lambda: frozen.lines("worker.lease_lost") or _ended(frozen, job), what="the loss")
    until(lambda: _ended(frozen, job), what="the end of the execution that was lost")
    assert [line["outcome"] for line in _ended(frozen, job)] == ["lost"]
    assert jobs.get(job).status is JobStatus.IN_PROGRESS
    book.release()
    done = jobs.become(job)
    assert endings(done) == ["lost", "completed"]
    assert done.result["body"] == {"hit": second}
    parked = jobs.become(unsafe, JobStatus.WAITING)
    assert endings(parked) == ["lost", "parked"]
    assert len((tmp_path / "book").read_text().splitlines()) == 1


def _ended(worker: Worker, job: str) -> list[dict[str, object]]:
    return [line for line in worker.lines("execution.ended") if line["job_id"] == job]


def test_a_killed_worker_s_job_is_taken_over_in_time(jobs: Jobs, book: Sink, pair: list[Worker]) -> None:
    """Within a lease and a look for lost jobs."""
    book.hold = True
    job = jobs.start("sink", {"n": 2}, "post")
    hits(book, job, 1)
    killed = next(worker for worker in pair if worker.pid == jobs.worker_of(job))
    killed.kill()
    hits(book, job, 2, LEASE_SECONDS + RESCUE_SECONDS + SLACK_SECONDS)
    book.release()
    assert endings(jobs.become(job)) == ["lost", "completed"]
    again(killed)


def test_a_file_has_a_line_for_each_effect_though_its_writer_is_killed(jobs: Jobs, pair: list[Worker]) -> None:
    """Lines are whole; one that was written and not confirmed may be there twice, under the same key."""
    wanted = {}
    for number in range(60):
        new = NewJob(job_id(time.time_ns()), "lines", (StepPlan("append", "lines", "append"),), payload=f"{number}")
        wanted[idempotency_key(new.id, "lines", "append", 1)] = number
        jobs.add(new)
        if number == 30:
            pair[0].kill()
    again(pair[0])
    file = Path(pair[0].more["OPSCONNECT_DATA_DIR"]) / "files" / "lines.jsonl"
    query = "SELECT count(*) FROM finished_jobs WHERE connector_name = 'lines' AND status = 'completed'"
    until(lambda: asyncio.run(rows(jobs.url, query))[0][0] == 60, LEASE_SECONDS + SLACK_SECONDS)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["key"]: line["input"] for line in lines} == wanted
    assert len(lines) <= 60 + 1  # nobody has two at a time here


def test_jobs_that_end_or_hold_their_worker_are_dead_letters_and_their_neighbours_are_not(
    jobs: Jobs, pair: list[Worker]
) -> None:
    """Each takes five workers down, alone from the third on; what starts workers again is systemd, elsewhere."""
    over = Event()

    def keep() -> None:
        while not over.is_set():
            for worker in pair:
                if worker.ended:
                    worker.start(wait=False)
            over.wait(0.02)

    keeper = Thread(target=keep)
    keeper.start()
    try:
        neighbours = [jobs.start("troubled", {"seconds": 0.3}, "wait") for _ in range(6)]
        poisons = [jobs.start("troubled", {}, action) for action in ("block", "die")]
        neighbours += [jobs.start("troubled", {"seconds": 0.01}, "wait") for _ in range(6)]
        dead = [jobs.become(job, seconds=60) for job in poisons]
        done = [jobs.become(job, seconds=20) for job in neighbours]
    finally:
        over.set()
        keeper.join()
    for job in dead:
        assert job.status is JobStatus.ERROR
        assert endings(job) == ["lost"] * 5
        assert "loss 5 of 5" in str(job.error_message)
    for job in done:
        assert job.status is JobStatus.COMPLETED
        assert endings(job).count("lost") <= 2, "a suspect took a neighbour down"
    until(lambda: all(worker._is_ready() for worker in pair), 30)
    assert "a job has held this worker for" in pair[0].log.read_text() + pair[1].log.read_text()


def test_a_worker_that_is_told_to_leave_gives_back_what_does_not_end(jobs: Jobs, pair: list[Worker]) -> None:
    """One job ends in time; one sleeps, one holds a thread, and one does not let itself be stopped. Exit code 0."""
    leaving, other = pair
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
