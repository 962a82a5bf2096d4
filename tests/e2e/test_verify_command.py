"""`opsconnect verify` through processes of its own, with no database, key or network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.unit.catalog.walking import ALL

ROOT = Path(__file__).parents[2]
VALID, INVALID = (next(v for v in ALL if v["id"] == name) for name in ("github-01", "github-16"))


def verify(*arguments: str, stdin: bytes) -> tuple[int, list[str], str]:
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("OPSCONNECT_")}
    done = commands.run(["verify", *arguments], environment=clean, folder=ROOT, seconds=60, stdin=stdin)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.isascii()
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_every_vector_gets_one_line_in_its_order() -> None:
    code, lines, _ = verify("--jsonl", stdin="".join(json.dumps(vector) + "\n" for vector in ALL).encode())
    answers = [json.loads(line) for line in lines]
    assert [(answer["id"], answer["verdict"]) for answer in answers] == [(v["id"], v["expect"]) for v in ALL]
    assert code == 1


@pytest.mark.parametrize(
    ("stdin", "code"),
    [(json.dumps(VALID).encode(), 0), (json.dumps(VALID, indent=2).encode(), 0), (json.dumps(INVALID).encode(), 1)],
)
def test_one_request_is_answered_by_one_object_and_the_exit_code(stdin: bytes, code: int) -> None:
    told, lines, _ = verify("github", stdin=stdin)
    assert told == code
    assert json.loads("\n".join(lines))["verdict"] == ("invalid" if code else "valid")


def test_a_line_that_is_broken_is_answered_between_the_others() -> None:
    line = json.dumps(VALID).encode()
    code, lines, _ = verify("--jsonl", stdin=line + b"\n\xff{\n\n" + line)
    assert [json.loads(each)["code"] for each in lines] == ["ok", "malformed_request", "malformed_request", "ok"]
    assert code == 1


def test_nothing_at_all_is_no_failure() -> None:
    assert verify("--jsonl", stdin=b"")[:2] == (0, [])


@pytest.mark.parametrize("arguments", [["nobody"], ["--no-such"], ["github", "stripe"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    code, lines, error = verify(*arguments, stdin=b"")
    assert (code, lines) == (2, [])
    assert "Error: " in error


def test_an_answer_comes_before_the_next_question_is_asked() -> None:
    """So that another program may hold a conversation with it."""
    with subprocess.Popen(
        [sys.executable, "-m", "app", "verify", "--jsonl"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for vector in (VALID, INVALID):
            process.stdin.write(json.dumps(vector).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["verdict"] == vector["expect"]
        process.stdin.close()
        assert process.wait(30) == 1
