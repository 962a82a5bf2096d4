"""The log of the process: one form, whoever speaks, and a reader that may do as it likes."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.infra.log_stream import LogStream
from tests.logged import logged

RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads until a test does: the end to read from, and the one to write to."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_everybody_speaks_in_lines_of_json(tmp_path: Path) -> None:
    """Both structlog and the standard library alike: the same first fields, in the same order."""
    with logged(tmp_path / "log", level="info") as log:
        structlog.get_logger().info("source.changed", source="demo")
        logging.getLogger("alembic.runtime.migration").info("Running upgrade %s", "0001")
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        lines = log.events()
    assert [list(line)[:3] for line in lines] == [["timestamp", "level", "event"]] * 3
    assert all(RFC_3339_UTC.fullmatch(line.pop("timestamp")) for line in lines)
    assert lines == [
        {"level": "info", "event": "source.changed", "source": "demo"},
        {"level": "info", "event": "Running upgrade 0001", "logger": "alembic.runtime.migration"},
        {"level": "warning", "event": "Invalid HTTP request received.", "logger": "uvicorn.error"},
    ]


def test_lines_carry_the_trace_they_belong_to(tmp_path: Path) -> None:
    with logged(tmp_path / "log") as log, structlog.contextvars.bound_contextvars(trace_id="ab" * 16):
        structlog.get_logger().info("one")
        logging.getLogger("two").info("two")
        assert [line["trace_id"] for line in log.events()] == ["ab" * 16] * 2


def test_an_exception_is_one_line(tmp_path: Path) -> None:
    with logged(tmp_path / "log") as log:
        try:
            raise ValueError("no\nluck")
        except ValueError:
            logging.getLogger("a").exception("failed")
            structlog.get_logger().exception("failed")
        first, second = log.events("failed")
    assert "ValueError: no\nluck" in first["exception"]
    assert "ValueError: no\nluck" in second["exception"]


def test_the_least_level_holds_for_everybody(tmp_path: Path) -> None:
    with logged(tmp_path / "log", level="warning") as log:
        structlog.get_logger().info("quiet")
        logging.getLogger("a").info("quiet")
        structlog.get_logger().warning("heard")
        logging.getLogger("a").warning("heard")
        assert [line["event"] for line in log.events()] == ["heard", "heard"]


def test_values_of_statements_and_queries_of_requests_are_never_logged(tmp_path: Path) -> None:
    """Even at level debug: SQLAlchemy would log parameters, and uvicorn's access log the query string."""
    with logged(tmp_path / "log", level="debug") as log:
        logging.getLogger("sqlalchemy.engine.Engine").info("[generated in 0.1s] ('CANARY',)")
        logging.getLogger("uvicorn.access").info('"POST /x?token=CANARY HTTP/1.1" 200')
        logging.getLogger("urllib3.connectionpool").debug("https://localhost:4318 POST /v1/traces?key=CANARY")
        assert log.text() == ""


def test_what_json_cannot_say_is_said_otherwise(tmp_path: Path) -> None:
    with logged(tmp_path / "log") as log:
        structlog.get_logger().info("odd", surrogate="\udcff", huge=2**80, path=tmp_path, raw=b"\xff")
        faulty = "too few: %s %s"  # a defect in a library
        logging.getLogger("a").info(faulty, "one")
        structlog.get_logger().info("next")
        assert [line["event"] for line in log.events()] == ["odd", faulty, "next"]


def test_dev_is_readable_and_keeps_control_characters_off_the_terminal(tmp_path: Path) -> None:
    with logged(tmp_path / "log", environment="dev") as log:
        structlog.get_logger().info("request.answered", path="/\x1b[2J", status=200, detail="")
        text = log.text()
    assert "request.answered" in text
    assert "status=200" in text
    assert "\x1b" not in text
    assert "detail" not in text


def test_nobody_waits_for_a_reader_that_stopped(pipe: tuple[int, int]) -> None:
    """Beyond the bound lines are dropped, and the next ones say how many."""
    reader, writer = pipe
    stream = LogStream(writer, most_waiting_bytes=100_000, tell_dropped=lambda lines: b"dropped %d\n" % lines)
    line = b"x" * 999 + b"\n"

    def fill() -> None:
        for _ in range(2000):
            stream.write(line)

    filler = threading.Thread(target=fill)
    filler.start()
    filler.join(5.0)
    assert not filler.is_alive()
    assert stream.dropped >= 1600

    read = bytearray()
    while b"last\n" not in read:
        read += os.read(reader, 65536)
        if b"last\n" not in read and read.count(b"x\n") >= 2000 - stream.dropped:
            stream.write(b"last\n")
    lines = bytes(read).splitlines()
    told = [int(line.removeprefix(b"dropped ")) for line in lines if line.startswith(b"dropped ")]
    assert sum(told) == stream.dropped
    assert lines.count(line[:-1]) == 2000 - stream.dropped
    assert stream.close(5.0)


def test_a_reader_that_left_breaks_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    stream = LogStream(writer)
    for _ in range(10):
        stream.write(b"line\n")
    assert stream.close(5.0)
    assert stream.dropped == 10
    stream.write(b"late\n")
    assert stream.dropped == 11


def test_the_exit_does_not_wait_for_a_reader_that_stopped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    stream = LogStream(writer)
    stream.write(b"x" * 1_000_000 + b"\n")
    assert not stream.close(0.2)
    while len(os.read(reader, 65536)) == 65536:  # let the thread go
        pass


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    stream = LogStream(writer)
    stream.write(b"x" * 300_000 + b"\n")
    read = bytearray()
    while not read.endswith(b"\n"):
        read += os.read(reader, 65536)
    assert len(read) == 300_001
    assert stream.close(5.0)


def test_a_command_that_never_closes_its_log_still_gets_it_out() -> None:
    program = (
        "import structlog; from app.infra.logs import set_up_logs\n"
        "set_up_logs(environment='production', level='info')\n"
        "structlog.get_logger().info('said')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)["event"] == "said"
