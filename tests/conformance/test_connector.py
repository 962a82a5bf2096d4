"""What every connector keeps to: each built-in one, by the suite that other people's connectors are tested with."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.connectors.arithmetic import ArithmeticConnector
from app.adapters.connectors.echo import EchoConnector
from app.adapters.connectors.file import FileConnector
from app.adapters.connectors.http import HttpConnector
from app.adapters.connectors.log import LogConnector
from app.adapters.outgoing.client import AiohttpOutgoing
from app.core.domain.address import AllowPrivate
from app.core.domain.connector import ActionCall, Json
from app.core.ports.connector import Connector
from app.infra.connector_suite import ConnectorSuite
from tests.logged import logged
from tests.peer import Peer, Seen, peer, reply, silent


class TestEcho(ConnectorSuite):
    def make(self) -> Connector:
        return EchoConnector()

    def calls(self) -> Sequence[ActionCall]:
        return [ActionCall("echo", given, {}, {}) for given in ({"a": [10**40, 1.5, None, "ü\ud800"]}, "", 1)]


class TestArithmetic(ConnectorSuite):
    def make(self) -> Connector:
        return ArithmeticConnector()

    def calls(self) -> Sequence[ActionCall]:
        sums: list[tuple[str, Json, Json]] = [
            ("add", 10**4000, -1), ("subtract", 1.5, 2), ("multiply", 10**2000, 10**2299),
        ]  # fmt: skip
        return [ActionCall(action, {"value": a, "operand": b}, {}, {}) for action, a, b in sums]


class TestLog(ConnectorSuite):
    @pytest.fixture(autouse=True)
    def log(self, tmp_path: Path) -> AsyncIterator[None]:  # type: ignore[misc]  # not async, so that it is one
        with logged(tmp_path / "log"):
            yield

    def make(self) -> Connector:
        return LogConnector()

    def calls(self) -> Sequence[ActionCall]:
        settings = {"message": "came by", "level": "warning", "fields": ["id"]}
        return [ActionCall("log", {"id": 10**40}, settings, {}), ActionCall("log", [], {}, {})]


class TestFile(ConnectorSuite):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.files = tmp_path / "files"

    def make(self) -> Connector:
        return FileConnector(self.files)

    def calls(self) -> Sequence[ActionCall]:
        return [ActionCall("append", {"a": 10**40}, {"path": "new/orders.jsonl"}, {}, key="k")]

    def keys_seen(self) -> Sequence[str]:
        file = self.files / "new/orders.jsonl"
        return [json.loads(line)["key"] for line in file.read_text().splitlines()] if file.exists() else []


class TestHttp(ConnectorSuite):
    @pytest.fixture(autouse=True)
    async def other_side(self) -> AsyncIterator[None]:
        self.client = AiohttpOutgoing(agent="OpsConnect/test")
        async with peer(self.manner) as self.peer:
            yield
            await self.client.close()

    peer: Peer
    client: AiohttpOutgoing

    async def manner(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if "/hang" in seen.target:
            await silent(seen, writer)
        if "/fail" in seen.target:
            writer.write(reply(500, repr(seen.headers).encode() + seen.body))
        else:
            body = b"" if seen.method == "HEAD" else b'{"number": 1%s}' % (b"0" * 40)
            writer.write(reply(200, body, ("Content-Type", "application/json")))

    def make(self) -> Connector:
        return HttpConnector(self.client)

    def call(self, action: str, given: Json, **auth: Json) -> ActionCall:
        """A call with every secret, one of which proves it."""
        url = f"http://127.0.0.1:{self.peer.port}/v1"
        secrets = {
            "password": b"canary-password", "token": b"canary-token", "hmac_key": b"canary-hmac",
            "signing": b"whsec_Y2FuYXJ5LXNpZ25pbmctY2FuYXJ5",
        }  # fmt: skip
        settings = {"base_url": url, "headers": {"X-Ours": "1"}, "auth": auth or {"kind": "bearer"}}
        return ActionCall(action, given, settings, secrets, AllowPrivate.of(["127.0.0.1"]), key="k")

    def calls(self) -> Sequence[ActionCall]:
        body = {"path": "/orders", "json": {"a": 10**40}}
        asking = {"path": "/orders/1", "query": {"a": [1, "b"], "c": None}}
        return [
            self.call("post", body, kind="basic", username="us"),
            self.call("get", asking),
            self.call("put", body, kind="header", name="X-Key", prefix="key "),
            self.call("patch", body, kind="hmac", header="X-Signature", timestamp_header="X-Time"),
            self.call("delete", asking),
            self.call("request", {"method": "POST", "body": "text", **asking}),
            self.call("deliver", body),
            replace(self.call("post", {"path": "//evil.example"}), whole=True),
        ]

    def failing(self) -> Sequence[ActionCall]:
        return [replace(call, input={**call.input, "path": "/fail"}) for call in self.calls() if not call.whole]

    def hanging(self) -> ActionCall | None:
        return self.call("post", {"path": "/hang"})

    async def under_way(self) -> None:
        while not self.peer.seen:
            await asyncio.sleep(0)

    def keys_seen(self) -> Sequence[str]:
        wanted = ("idempotency-key", "webhook-id")
        return [seen.headers[name] for seen in self.peer.seen for name in wanted if name in seen.headers]
