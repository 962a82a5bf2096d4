"""`opsconnect serve --workers 2`: several processes that look like one, and survive each other."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import DEMO, configure, rows
from tests.e2e.ledger import assert_ledger
from tests.e2e.sender import SECRET, acknowledged, deliveries, send_all


@pytest.fixture
def crew(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """Two workers and their parent."""
    configure(database_url, DEMO)
    with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET, OPSCONNECT_WORKERS="2") as running:
        until(lambda: len(running.lines("start.serving")) == 2, what="the second worker")
        yield running


def workers(crew: Api) -> list[psutil.Process]:
    """The serving processes, the oldest first."""
    assert crew.process is not None
    return sorted(psutil.Process(crew.process.pid).children(), key=lambda worker: worker.create_time())


def is_gone(worker: psutil.Process) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return worker.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def counted(crew: Api) -> dict[str, float]:
    """What `/metrics` says, whoever answers, summed over labels."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(crew.get("/metrics").text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def connections(worker: psutil.Process) -> int:
    """How many connections of senders it has."""
    return sum(each.status == psutil.CONN_ESTABLISHED for each in worker.net_connections("tcp"))


async def test_both_take_requests_in_and_are_counted_as_one(crew: Api) -> None:
    """The port's connections are shared out, and each `/metrics` shows the sum."""
    work = deliveries(2_000)
    sending = asyncio.create_task(send_all(crew.port, work))
    await acknowledged(work, 200)
    shares = [connections(worker) for worker in workers(crew)]
    await sending
    assert min(shares) >= 5, shares
    await assert_ledger(crew.database_url, work)

    def sums() -> set[tuple[float, ...]]:
        """What ten scrapes show, whoever answers."""
        names = ("requests_total", "ack_seconds_count", "flush_rows_sum", "build_info")
        return {tuple(shown[f"opsconnect_{name}"] for name in names) for shown in (counted(crew) for _ in range(10))}

    until(lambda: sums() == {(2_000, 2_000, 2_000, 1)}, what="the sum")


async def test_a_killed_worker_is_replaced_and_costs_no_event(crew: Api) -> None:
    """Nothing acknowledged is missing, the other one serves on, a new one joins, and the counters do not go back."""
    work = deliveries(4_000)
    sending = asyncio.create_task(send_all(crew.port, work))
    await acknowledged(work, 1_000)
    victim, other = workers(crew)
    victim.kill()
    await sending
    broken = [sent for sent in work if not sent.acknowledged]
    assert 1 <= len(broken) <= 50, "one a connection of the victim at most"
    await assert_ledger(crew.database_url, work)
    until(lambda: len(crew.lines("start.serving")) == 3, what="the new worker")
    (line,) = crew.lines("worker.replaced")
    assert line["ended_by"] == "signal 9"
    assert workers(crew)[0] == other
    until(lambda: counted(crew)["opsconnect_requests_total"] > 2_000, what="the counts of the victim")
    before = counted(crew)["opsconnect_requests_total"]
    await send_all(crew.port, broken)
    assert all(sent.acknowledged for sent in work)
    await assert_ledger(crew.database_url, work)
    until(lambda: counted(crew)["opsconnect_requests_total"] == before + len(broken), what="the counts of the new one")


async def test_sigterm_drains_both(crew: Api) -> None:
    """Under load: every answer is one of ours, and the exit code is 0."""
    work = deliveries(5_000)
    sending = asyncio.create_task(send_all(crew.port, work))
    await acknowledged(work, 500)
    both = workers(crew)
    started = time.monotonic()
    assert await asyncio.to_thread(crew.stop) == 0
    assert time.monotonic() - started < 10
    assert all(is_gone(worker) for worker in both)
    await sending
    assert any(not sent.acknowledged for sent in work), "the signal came too late to show anything"
    await assert_ledger(crew.database_url, work)
    assert len(crew.lines("stop.drained")) == 2


def test_without_their_parent_they_drain_and_end(crew: Api) -> None:
    assert crew.process is not None
    both = workers(crew)
    crew.process.kill()
    crew.process.wait()
    until(lambda: all(is_gone(worker) for worker in both), what="the end of the workers")
    assert len(crew.lines("stop.drained")) == 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", crew.port)).close()


def test_a_worker_may_be_told_to_leave_alone(crew: Api) -> None:
    """It drains and is replaced; the service goes on."""
    first, other = workers(crew)
    first.terminate()
    until(lambda: len(crew.lines("start.serving")) == 3, what="the new worker")
    assert len(crew.lines("stop.drained")) == 1
    assert crew.lines("worker.replaced")[0]["ended_by"] == "exit code 0"
    assert not is_gone(other)


async def test_what_keeps_them_from_starting_is_said_once(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """One line, exit code 1, and nobody left."""
    await rows(database_url, "UPDATE alembic_version SET version_num = 'unheard of'")
    api = Api(database_url, redis_url, tmp_path / "api.log", more={"OPSCONNECT_WORKERS": "3"})
    process = api.start(wait=False).process
    assert process is not None
    assert await asyncio.to_thread(process.wait, 20) == 1
    (line,) = api.log.read_text().splitlines()
    assert line.startswith("error")
    assert "unheard of" in line


def test_a_taken_port_is_said_once_too(crew: Api) -> None:
    """Before anybody is started."""
    done = crew.cli("serve", "--port", str(crew.port))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"127.0.0.1:{crew.port}" in line
