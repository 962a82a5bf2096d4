"""Every vector and handshake through the real door, over a socket, at the time that it names, by both ways in."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import uvicorn

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.rate_limit import MemoryRateLimit
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.adapters.telemetry.recorder import NoSpans
from app.adapters.web.admission import Admission
from app.adapters.web.express import ExpressLane
from app.adapters.web.heads import HeadReader
from app.adapters.web.protocol import GuardedHttp
from app.adapters.web.watch import Limits, Refusals, Watch
from app.adapters.web.webhooks import WebhookDoor
from app.core.catalog.credentials import KEY_ID, credentials_of
from app.core.catalog.handshakes import HandshakeAnswer
from app.core.domain.event import Event
from app.core.domain.ids import EventId
from app.core.domain.source import ListedScheme, Source
from app.core.policies.leased_rates import LeasedRates
from app.core.ports.telemetry import Delivery, Telemetry, Trace
from tests.intake import intake_on
from tests.registering import House
from tests.web.wire import Answer, take_answer

FOLDER = Path(__file__).parent.parent / "vectors"
VECTORS: list[dict[str, Any]] = [
    *json.loads((FOLDER / "vectors.json").read_text()),
    *json.loads((FOLDER / "generated.json").read_text()),
]
HANDSHAKES: list[dict[str, Any]] = json.loads((FOLDER / "handshakes.json").read_text())
FOR_EVER = 1e10
"""The tolerance of a vector that has no time."""
BRING_A_SECRET = {"asana-challenge-01", "notion-challenge-01"}
"""Nobody vouches for what these bring: without a pending registration they are refused."""
SOME_TIME = 1_795_000_000.0


class Told(Telemetry):
    """Keeps the records."""

    def __init__(self) -> None:
        self.records: list[Delivery] = []

    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        return NoSpans().start(method, traceparent, tracestate, started_ns)

    def finish(self, delivery: Delivery) -> None:
        self.records.append(delivery)


class Door(NamedTuple):
    """A door that listens, and what is behind it."""

    port: int
    store: MemoryEventStore
    told: Told
    followed: list[HandshakeAnswer]
    admission: Admission
    by_the_book: list[str]
    """Paths of the requests that did not go the short way."""


@asynccontextmanager
async def door(
    source: Source, variables: Mapping[str, str], now: float, house: House | None = None, *, express: bool
) -> AsyncIterator[Door]:
    """Serve one source at one time, on a port of its own; `house` keeps secrets that are brought."""
    house = house or House()
    store, told, followed = MemoryEventStore(), Told(), list[HandshakeAnswer]()
    sources = MemorySourceRegistry([source])
    ingest = intake_on(
        sources,
        ReferencedSecrets({"env": EnvironmentSecrets(variables), "handshake": house.secrets}),
        store,
        offer=house.offer,
        followed=lambda _source, answer: followed.append(answer),
    )
    await ingest.prepare(source.name)
    rates = LeasedRates(MemoryRateLimit())

    def clock() -> int:
        return round(now * 1e9)

    async def nowhere(*_: object) -> None:
        raise AssertionError("it went past the door")

    long_way = WebhookDoor(ingest, told, sources, rates, 25_000_000, nowhere, clock)
    by_the_book: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        by_the_book.append(scope["path"])
        await long_way(scope, receive, send)

    lane = ExpressLane(ingest, told, rates, body_limit_bytes=25_000_000, clock_ns=clock) if express else None
    admission = Admission(1000, 100_000_000)
    watch = Watch(Limits(), Refusals(), admission)
    protocol: Any = partial(GuardedHttp, watch, HeadReader(watch.limits.caps), lane)
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = uvicorn.server.ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield Door(server.sockets[0].getsockname()[1], store, told, followed, admission, by_the_book)
    finally:
        server.close()


async def ask(port: int, case: Mapping[str, Any], source: Source) -> Answer:
    """Send a case's request to the source's address, with the query that it has."""
    url = urlsplit(case["url"])
    target = f"/api/v1/webhooks/{source.name}" + (f"?{url.query}" if url.query else "")
    body = b64decode(case["body_b64"] or "")
    headers = [
        (name.encode("latin-1"), text.encode("latin-1"))
        for name, value in case["headers"].items()
        for text in (value if isinstance(value, list) else [value])
        if name.lower() not in {"host", "content-length", "connection"}
    ]
    lines = [b"%b: %b" % header for header in headers]
    head = [f"{case['method']} {target} HTTP/1.1".encode(), b"Host: x", b"Content-Length: %d" % len(body), *lines]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"\r\n".join([*head, b"", b""]) + body)
        read = b""
        async with asyncio.timeout(10):
            while (taken := take_answer(read, to_head=case["method"] == "HEAD")) is None:
                more = await reader.read(65_536)
                assert more, read
                read += more
        return taken[0]
    finally:
        writer.close()


def configured(case: Mapping[str, Any]) -> tuple[Source, dict[str, str]]:
    """The source of a case, as somebody configures it, and the variables that its secrets stand in."""
    credentials = credentials_of(case["provider"], case.get("secret"), case.get("key"), case.get("config"))
    pinned = [value for name, value in credentials.keys.items() if name.startswith(KEY_ID)]
    secrets = [secret.decode("utf-8", "surrogatepass") for secret in (*credentials.secrets, *pinned)] or ["ab" * 32]
    url = urlsplit(case["url"])
    source = Source(
        name="case",
        provider=case["provider"],
        verify=ListedScheme(case.get("scheme")),
        secrets=tuple(f"env:S{number}" for number in range(len(secrets))),
        tolerance_seconds=case.get("tolerance_s") if case["now"] is not None else FOR_EVER,
        settings=tuple(credentials.settings.items()),
        public_url=url._replace(query="", fragment="").geturl(),
    )
    return source, {f"S{number}": secret for number, secret in enumerate(secrets)}


@pytest.mark.parametrize("express", [True, False], ids=["express", "asgi"])
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
async def test_a_signed_request_is_taken_or_refused_as_it_must_be(vector: dict[str, Any], express: bool) -> None:
    source, variables = configured(vector)
    now = vector["now"] if vector["now"] is not None else SOME_TIME
    async with door(source, variables, now, express=express) as open_door:
        answer = await ask(open_door.port, vector, source)
        (record,) = open_door.told.records
        kept = list(open_door.store.inbox)
    if vector["expect"] == "invalid":
        assert not kept
        assert 400 <= answer.status < 500, (answer, record.detail)
        return
    assert 200 <= answer.status < 300, (answer, record.outcome, record.detail)
    if record.outcome == "challenge":
        return
    event: Event | None = await open_door.store.get(EventId(answer.headers["x-event-id"]))
    assert event is not None
    assert await open_door.store.body(event.id) == b64decode(vector["body_b64"] or "")
    if vector.get("event_type"):
        assert event.type == vector["event_type"]


def says(answer: Answer, expected: Mapping[str, Any]) -> bool:
    """Compare an answer as far as the vector says that it counts."""
    body = b64decode(expected["body_b64"] or "")
    if expected["match"] == "2xx":
        return 200 <= answer.status < 300
    if answer.status != expected["status"]:
        return False
    compared: dict[str, Callable[[], bool]] = {
        "status": lambda: True,
        "status+headers": lambda: all(
            answer.headers.get(name.lower()) == value for name, value in expected["headers"].items()
        ),
        "json": lambda: bool(json.loads(answer.body) == json.loads(body)),
        "exact": lambda: answer.body == body,
    }
    return compared[expected["match"]]()


@pytest.mark.parametrize("express", [True, False], ids=["express", "asgi"])
@pytest.mark.parametrize("case", HANDSHAKES, ids=[case["id"] for case in HANDSHAKES])
async def test_a_challenge_is_answered_as_its_provider_demands(case: dict[str, Any], express: bool) -> None:
    source, variables = configured(case)
    now = case["now"] if case["now"] is not None else SOME_TIME
    async with door(source, variables, now, express=express) as open_door:
        answer = await ask(open_door.port, case, source)
        (record,) = open_door.told.records
    if case["id"] in BRING_A_SECRET:
        assert (answer.status, record.outcome) == (401, "registration_not_pending")
        return
    assert says(answer, case["expect_response"]), (answer, record.outcome, record.detail)


@pytest.mark.parametrize("express", [True, False], ids=["express", "asgi"])
@pytest.mark.parametrize(
    "case", [case for case in HANDSHAKES if case["id"] in BRING_A_SECRET], ids=lambda case: case["id"]
)
async def test_a_challenge_that_brings_a_secret_is_answered_while_one_is_expected(
    case: dict[str, Any], express: bool
) -> None:
    """The first one is kept, sealed; the same one again is answered alike, and another one refused."""
    house = House()
    name = case["provider"]
    source = Source(name, name, ListedScheme(), secrets=(f"handshake:{name}",))
    await house.registrations.open(name)
    async with door(source, {}, SOME_TIME, house, express=express) as open_door:
        for _ in range(2):
            assert says(await ask(open_door.port, case, source), case["expect_response"])
        (kept,) = await house.kept(name)
        body = b64decode(case["body_b64"] or "").replace(kept, b"another")
        headers = {key: value.replace(kept.decode(), "another") for key, value in case["headers"].items()}
        other = {**case, "body_b64": b64encode(body).decode(), "headers": headers}
        assert (await ask(open_door.port, other, source)).status == 401
        assert await house.kept(name) == (kept,)
