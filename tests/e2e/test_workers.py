"""`opsconnect serve --workers 2`: several processes that look like one, and survive each other."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.api import ADMIN_KEY, Api, serving, until
from tests.e2e.conftest import DEMO, at_revision, configure
from tests.e2e.ledger import assert_ledger
from tests.e2e.sender import SECRET, acknowledged, deliveries, send_all
from tests.otlp_receiver import otlp_receiver

Start = Callable[..., Api]


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: who changes its schema changes it back."""
    return emptied_database


@pytest.fixture
def start(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start two workers and their parent, with more settings."""
    configure(database_url, DEMO)
    with ExitStack() as stack:

        def serve(**more: str) -> Api:
            settings = {"DEMO_SECRET": SECRET, "OPSCONNECT_WORKERS": "2", **more}
            running = stack.enter_context(serving(database_url, redis_url, tmp_path, **settings))
            started(running, 2)
            return running

        yield serve


@pytest.fixture
def crew(start: Start) -> Api:
    """Two workers and their parent."""
    return start()


def started(crew: Api, count: int) -> None:
    """Wait until so many workers have begun to serve, those that have ended included."""
    until(lambda: len(crew.lines("start.serving")) == count, 20, f"worker number {count}")


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


def counted(crew: Api, worker: psutil.Process) -> dict[str, float]:
    """What this worker's `/metrics` says, summed over labels. Whoever is asked shows the others its own as well."""

    def connected() -> socket.socket | None:
        """A connection that the worker has taken; one that another has taken is closed."""
        ours = socket.create_connection(("127.0.0.1", crew.port))
        taken = {each.raddr.port for each in worker.net_connections("tcp") if each.raddr}
        if ours.getsockname()[1] in taken:
            return ours
        ours.close()
        return None

    question = f"GET /metrics HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n".encode()
    with until(connected, what="a connection to the worker") as ours, ours.makefile("rb") as answer:
        ours.sendall(question)
        head, _, text = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def counted_by_all(crew: Api, name: str) -> float:
    """What they have counted together: the last one asked has seen what the others had counted when they were asked."""
    return [counted(crew, worker)[name] for worker in workers(crew)][-1]


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
        """What each of them shows."""
        names = ("requests_total", "ack_seconds_count", "flush_rows_sum", "build_info")
        shown = [counted(crew, worker) for worker in workers(crew)]
        return {tuple(each[f"opsconnect_{name}"] for name in names) for each in shown}

    until(lambda: sums() == {(2_000, 2_000, 2_000, 1)}, what="the sum")


async def test_a_killed_worker_is_replaced_and_costs_no_event(crew: Api) -> None:
    """Nothing acknowledged is missing, the other one serves on, a new one joins, and the counters do not go back."""
    work = deliveries(4_000)
    sending = asyncio.create_task(send_all(crew.port, work))
    await acknowledged(work, 1_000)
    victim, other = workers(crew)
    assert crew.process is not None
    assert psutil.Process(crew.process.pid).num_threads() == 1, "it may not fork while another thread holds a lock"
    victim.kill()
    await sending
    broken = [sent for sent in work if not sent.acknowledged]
    assert 1 <= len(broken) <= 50, "one a connection of the victim at most"
    await assert_ledger(crew.database_url, work)
    started(crew, 3)
    (line,) = crew.lines("worker.replaced")
    assert line["ended_by"] == "signal 9"
    assert workers(crew)[0] == other

    before = counted_by_all(crew, "opsconnect_requests_total")
    assert before > 2_000, "the counts of the victim"
    await send_all(crew.port, broken)
    assert all(sent.acknowledged for sent in work)
    await assert_ledger(crew.database_url, work)
    after = before + len(broken)
    until(lambda: counted_by_all(crew, "opsconnect_requests_total") == after, what="the counts of the new one")


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
    started(crew, 3)
    assert len(crew.lines("stop.drained")) == 1
    assert crew.lines("worker.replaced")[0]["ended_by"] == "exit code 0"
    assert not is_gone(other)


async def test_one_that_cannot_start_is_tried_again_while_another_serves(crew: Api) -> None:
    """Each time after a longer pause, until it can."""
    victim, other = workers(crew)
    async with at_revision(crew.database_url, "unheard of"):
        victim.kill()
        before = time.monotonic()
        await asyncio.to_thread(until, lambda: crew.log.read_text().count("unheard of") == 2, 20, "two attempts")
        assert time.monotonic() - before >= 1.5, "half a second, then one"
        assert crew.get("/api/v1/health").status_code == 200
    await asyncio.to_thread(started, crew, 3)
    assert crew.lines("worker.replaced")[0]["ended_by"] == "exit code 1"
    assert not is_gone(other)


def test_told_again_they_hurry(start: Start) -> None:
    """By Ctrl-C as well, which reaches the workers through their parent alone."""
    crew = start(OPSCONNECT_DRAIN_ANNOUNCE_SECONDS="60")
    assert crew.process is not None
    crew.process.send_signal(signal.SIGINT)
    until(lambda: {crew.get("/api/v1/health/ready").status_code for _ in range(10)} == {503}, what="the announcement")
    begun = time.monotonic()
    assert crew.stop() == 0
    assert time.monotonic() - begun < 10
    assert len(crew.lines("stop.drained")) == 2


def test_one_that_hangs_does_not_hold_the_end_up(start: Start) -> None:
    """It is killed when its time is long over, and the exit code says so."""
    crew = start(OPSCONNECT_DRAIN_IN_FLIGHT_SECONDS="0", OPSCONNECT_DRAIN_TELEMETRY_SECONDS="0")
    hanging, other = workers(crew)
    hanging.suspend()
    assert crew.stop() == 128 + signal.SIGKILL
    assert is_gone(hanging)
    assert is_gone(other)


def test_each_worker_tells_of_itself_to_the_collector(start: Start) -> None:
    """As an instance of its own; and no two draw the same random ids."""
    with otlp_receiver() as collector:
        crew = start(OTEL_SDK_DISABLED="false", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        asyncio.run(send_all(crew.port, deliveries(400)))
        assert crew.stop() == 0
    servers = [span for span in collector.spans if span.name == "POST /api/v1/webhooks/{source}"]
    assert len(servers) == 400
    assert len({span.trace_id for span in servers}) == len({span.span_id for span in servers}) == 400
    assert len({span.resource["service.instance.id"] for span in servers}) == 2


async def test_what_keeps_them_from_starting_is_said_once(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """One line, exit code 1, and nobody left."""
    api = Api(database_url, redis_url, tmp_path / "api.log", more={"OPSCONNECT_WORKERS": "3"}, forked=True)
    async with at_revision(database_url, "unheard of"):
        process = api.start(wait=False).process
        assert process is not None
        assert await asyncio.to_thread(process.wait, 20) == 1
    (line,) = api.log.read_text().splitlines()
    assert line.startswith("error")
    assert "unheard of" in line


def test_a_taken_port_is_said_once_too(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """Before anybody is started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = Api(database_url, redis_url, tmp_path / "api.log").cli("serve", "--workers", "2", "--port", str(port))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
