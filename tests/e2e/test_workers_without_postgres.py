"""What a worker does while Postgres is away, and when it is told to leave just then."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from app.core.domain.job import JobStatus
from tests.conftest import Servers
from tests.e2e.api import free_port, until
from tests.e2e.conftest import configure, stop_backends
from tests.e2e.job_stories import Jobs, endings
from tests.e2e.sink import Sink, sink
from tests.e2e.worker import Worker, working

AWAY_SECONDS = 5.0
LEAVE_SECONDS = 1.0 + 2.2 + 1.0
"""The drain's, giving back and the end of the lease, telemetry."""
PACE = {"OPSCONNECT_WORKER_LEASE_SECONDS": "10", "OPSCONNECT_WORKER_STOP_BEFORE_SECONDS": "2"}
HEALTH = "/api/v1/health"


def test_a_worker_goes_on_when_postgres_is_back_and_leaves_in_time_when_it_hangs(
    own_servers: Servers, tmp_path: Path
) -> None:
    """What was done meanwhile is told afterwards, and not done again."""
    url = own_servers.postgres.url()
    with sink() as book:
        connection = {"name": "sink", "connector": "http", "settings": {"base_url": book.url}}
        configure(url, connections=[{**connection, "allow_private": ["127.0.0.1"]}])
        port = free_port()
        with working(url, tmp_path, **PACE, OPSCONNECT_WORKER_PORT=str(port)) as worker:
            worker.port = port
            _away(own_servers, worker, book, Jobs(url))
            _hanging(own_servers, worker, book, Jobs(url))


def _away(servers: Servers, worker: Worker, book: Sink, jobs: Jobs) -> None:
    book.hold = True
    job = jobs.start("sink", {"n": 1}, "post")
    until(lambda: len(book.hits) == 1)
    assert worker.get(f"{HEALTH}/ready").status_code == 200
    assert 'opsconnect_open_jobs{status="in_progress"}' in worker.get("/metrics").text
    servers.postgres.stop()
    stopped = time.monotonic()
    book.release()
    until(lambda: worker.lines("jobs.not_written"), what="the try to write the result")
    assert worker.get(f"{HEALTH}/ready").status_code == 503
    assert worker.get(f"{HEALTH}/live").status_code == 200
    time.sleep(max(0.0, stopped + AWAY_SECONDS - time.monotonic()))
    servers.postgres.start()
    assert endings(jobs.become(job)) == ["completed"]
    later = jobs.start("sink", {"n": 2}, "post")
    assert endings(jobs.become(later)) == ["completed"]
    assert len(book.hits) == 2
    assert worker.get(f"{HEALTH}/ready").status_code == 200
    assert not worker.lines("worker.lease_lost")
    assert not worker.lines("duty.failed")


def _hanging(servers: Servers, worker: Worker, book: Sink, jobs: Jobs) -> None:
    """Every process of Postgres is stopped: connections are there, and nobody answers on them."""
    book.hold = True
    job = jobs.start("sink", {"n": 3}, "post")
    until(lambda: len(book.hits) == 3)
    family = asyncio.run(stop_backends(servers.postgres.url(), servers))
    try:
        until(lambda: worker.lines("worker.heartbeat_failed"), what="the heartbeat that nobody hears")
        started = time.monotonic()
        assert worker.stop() == 0, worker.log.read_text()[-2000:]
        assert time.monotonic() - started < LEAVE_SECONDS + 1.0, worker.log.read_text()[-2000:]
    finally:
        for pid in family:
            with contextlib.suppress(ProcessLookupError):  # the backend that told us the pids has ended
                os.kill(pid, signal.SIGCONT)
    assert jobs.get(job).status in {JobStatus.IN_PROGRESS, JobStatus.PENDING}
