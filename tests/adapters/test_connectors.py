"""What is special about the built-in connectors that stay on this machine: arithmetic, log and file."""

import asyncio
import fcntl
import json
import os
import resource
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.connectors.arithmetic import MOST_DIGITS, ArithmeticConnector
from app.adapters.connectors.file import FileConnector
from app.adapters.connectors.log import LogConnector
from app.core.domain.connector import ActionCall, Done, Failed, Failure, Json
from tests.logged import logged

LARGEST = 10**MOST_DIGITS - 1


async def reckoned(action: str, value: Json, operand: Json) -> Done | Failed:
    return await ArithmeticConnector().run(ActionCall(action, {"value": value, "operand": operand}, {}, {}))


def outcome(result: Done | Failed) -> Json:
    return result.output if isinstance(result, Done) else result.code


@given(value=st.integers(-(10**60), 10**60), operand=st.integers(-(10**60), 10**60))
async def test_whole_numbers_stay_exact(value: int, operand: int) -> None:
    sums = {"add": value + operand, "subtract": value - operand, "multiply": value * operand}
    for action, result in sums.items():
        assert await reckoned(action, value, operand) == Done(result)


@pytest.mark.parametrize(
    ("action", "value", "operand", "result"),
    [
        ("add", 1, 0.5, 1.5), ("multiply", 0.5, 2, 1.0), ("subtract", 0, 0.0, 0.0), ("add", 0.1, 0.2, 0.1 + 0.2),
        ("add", LARGEST, 0, LARGEST), ("add", LARGEST, 1, "too_large"), ("subtract", -LARGEST, 1, "too_large"),
        ("multiply", LARGEST, LARGEST, "too_large"), ("add", LARGEST + 1, 0, "invalid_input"),
        ("multiply", 10**1_000_000, 2, "invalid_input"), ("add", LARGEST, 0.5, "too_large"),
        ("multiply", 1e308, 10, "too_large"), ("add", float("nan"), 1, "invalid_input"),
        ("add", 1, float("-inf"), "invalid_input"), ("add", True, 1, "invalid_input"), ("add", 1, "1", "invalid_input"),
        ("add", None, 1, "invalid_input"), ("divide", 1, 1, "unknown_action"),
    ],
    ids=lambda value: f"{value}"[:10] if isinstance(value, str | float) else "",
)  # fmt: skip
async def test_sums_at_the_edge(action: str, value: Json, operand: Json, result: Json) -> None:
    """A result that nobody could read back is refused here, and not where it is written."""
    got = outcome(await reckoned(action, value, operand))
    assert (type(got), got) == (type(result), result)
    json.dumps(got)


async def test_a_log_line_says_how_much_came_by_and_nothing_of_it(tmp_path: Path) -> None:
    payload = {"message": "canary", "canary@example.com": {"canary": ["canary"]}, "id": 10**30, "vip": True}
    settings = {"message": "an order", "level": "warning", "fields": ["id", "vip", "gone"]}
    with logged(tmp_path / "log") as log:
        assert await LogConnector().run(ActionCall("log", payload, settings, {}, key="k", attempt=2)) == Done(
            {"bytes": 111}
        )
        assert isinstance(await LogConnector().run(ActionCall("log", "canary", {}, {})), Done)
        one, two = log.events("connector.log")
    assert "canary" not in (tmp_path / "log").read_text()
    assert {name: one[name] for name in one if name not in {"timestamp", "event"}} == {
        "level": "warning", "message": "an order", "kind": "a mapping", "bytes": 111, "key": "k", "attempt": 2,
        "fields": {"id": "1" + "0" * 30, "vip": True},
    }  # fmt: skip
    assert (two["level"], two["kind"], two["bytes"]) == ("info", "a text", 8)


def append(path: Json, given: Json = 1, key: str = "k") -> ActionCall:
    return ActionCall("append", given, {"path": path}, {}, key=key)


async def test_lines_of_many_at_once_are_whole(tmp_path: Path) -> None:
    connectors = [FileConnector(tmp_path / "files") for _ in range(2)]
    text = "ü\n" * 20_000
    calls = [append("a/b/c.jsonl", {"n": n, "text": text}, f"k{n}") for n in range(40)]
    results = await asyncio.gather(*(connectors[n % 2].run(call) for n, call in enumerate(calls)))
    assert all(isinstance(result, Done) for result in results)
    file = tmp_path / "files/a/b/c.jsonl"
    lines = sorted((json.loads(line) for line in file.read_text().splitlines()), key=lambda line: line["input"]["n"])
    assert lines == [{"key": f"k{n}", "input": {"n": n, "text": text}} for n in range(40)]
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_line_after_a_torn_one_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"key": "torn')
    assert isinstance(await FileConnector(tmp_path).run(append("a.jsonl")), Done)
    assert (tmp_path / "a.jsonl").read_text() == '{"key": "torn\n{"key":"k","input":1}\n'


@pytest.mark.parametrize(
    "path",
    [
        "/etc/x",
        "../x",
        "a/../../x",
        "..",
        ".",
        "",
        "a/",
        "a\0b",
        "a\nb",
        "x" * 256,
        "link/x",
        "link",
        "dangling",
        1,
        None,
    ],
)
async def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: Json) -> None:
    files, outside = tmp_path / "files", tmp_path / "outside"
    files.mkdir()
    outside.mkdir()
    (files / "link").symlink_to(outside)
    (files / "dangling").symlink_to(outside / "new")
    connector = FileConnector(files)
    for result in (await connector.run(append(path)), await connector.check(append(path))):
        assert isinstance(result, Failed)
        assert result.failure is Failure.INVALID
    assert sorted(tmp_path.rglob("*")) == sorted([files, outside, files / "link", files / "dangling"])


async def test_what_is_no_file_is_not_written_to_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    pipe, folder = [await FileConnector(tmp_path).run(append(name)) for name in ("pipe", "folder")]
    assert (outcome(pipe), outcome(folder)) == ("invalid_path", "disk_error")


async def test_a_disk_that_is_full_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    connector, was = FileConnector(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    await connector.run(append("a.jsonl"))
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, was[1]))
    try:
        result = await connector.run(append("a.jsonl", "x" * 200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
        signal.signal(signal.SIGXFSZ, ignored)
    assert isinstance(result, Failed)
    assert (result.failure, result.code, result.maybe_done) == (Failure.RETRY, "disk_error", False)
    assert (tmp_path / "a.jsonl").read_text() == '{"key":"k","input":1}\n'


async def test_a_writer_that_is_frozen_is_not_waited_for_long(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with (tmp_path / "a.jsonl").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = await FileConnector(tmp_path).run(replace(append("a.jsonl"), seconds=0.05))
        assert (tmp_path / "a.jsonl").read_text() == ""
    assert isinstance(result, Failed)
    assert result.failure is Failure.RETRY


async def test_a_check_looks_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert await FileConnector(tmp_path / "none/yet").check(append("a/b.jsonl")) is None
    through_a_file = await FileConnector(tmp_path).check(append("file/b.jsonl"))
    assert through_a_file is not None
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


async def test_a_disk_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    class Stuck(FileConnector):
        def _append(self, *_: object) -> None:
            let_go.wait(10)

    let_go = threading.Event()
    try:
        result = await Stuck(tmp_path).run(replace(append("a"), seconds=0.05))
    finally:
        let_go.set()
    assert isinstance(result, Failed)
    assert (result.code, result.maybe_done) == ("disk_timeout", True)
