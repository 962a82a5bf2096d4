"""Trace contexts that senders claim: linked or continued, and read with suspicion, over each recorder there is."""

import re
from collections.abc import Iterator

import pytest

from app.adapters.telemetry.recorder import Incoming
from tests.deliveries import a_delivery
from tests.recorders import RECORDERS, Bench, bench_of

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENDER_TRACE, SENDER_SPAN = SENDER.split("-")[1:3]
SERVER = "POST /api/v1/webhooks/{source}"


@pytest.fixture(params=RECORDERS)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench_of(request.param, monkeypatch) as bench:
        yield bench


def test_a_senders_trace_is_linked_and_not_joined(bench: Bench) -> None:
    """Any sender could otherwise write into our traces, or switch their sampling off."""
    telemetry = bench.telemetry("link")
    unsampled = SENDER[:-2] + "00"
    delivery = a_delivery(telemetry, traceparent=unsampled, tracestate="vendor=a:b, other=1")
    telemetry.finish(delivery)
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert server.trace_id == delivery.trace.trace_id != SENDER_TRACE
    assert server.parent_id == ""
    assert server.links == [(SENDER_TRACE, SENDER_SPAN)]
    assert server.tracestate == ""
    assert delivery.trace.traceparent == f"00-{server.trace_id}-{server.span_id}-01"


def test_a_senders_trace_is_continued_where_that_is_configured(bench: Bench) -> None:
    telemetry = bench.telemetry("parent")
    delivery = a_delivery(telemetry, traceparent=SENDER, tracestate="vendor=a:b, other=1")
    telemetry.finish(delivery)
    telemetry.finish(a_delivery(telemetry, traceparent=SENDER[:-2] + "00"))
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)  # the other request's sender did not sample it
    assert (server.trace_id, server.parent_id, server.links) == (SENDER_TRACE, SENDER_SPAN, [])
    assert server.tracestate == "vendor=a:b,other=1"
    assert delivery.trace.traceparent == f"00-{SENDER_TRACE}-{server.span_id}-01"


@pytest.mark.parametrize("incoming", ["link", "parent"])
@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        SENDER.upper(),
        SENDER + "-extra",
        SENDER + "\n",
        "ff" + SENDER[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        SENDER[:-1],
        SENDER + "0",
        SENDER.replace("-", "_"),
        "01" + SENDER[2:] + "-" + "x" * 600,
        "00-٠af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ],
)
def test_a_malformed_traceparent_is_as_none(bench: Bench, incoming: Incoming, traceparent: str) -> None:
    telemetry = bench.telemetry(incoming)
    delivery = a_delivery(telemetry, traceparent=traceparent, tracestate="vendor=1")
    telemetry.finish(delivery)
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert re.fullmatch("[0-9a-f]{32}", server.trace_id)
    assert (server.trace_id, server.parent_id, server.links) == (delivery.trace.trace_id, "", [])
    assert server.trace_id != SENDER_TRACE


@pytest.mark.parametrize("traceparent", [f" {SENDER}\t", "01" + SENDER[2:] + "-more"])
def test_space_around_and_later_versions_are_understood(bench: Bench, traceparent: str) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, traceparent=traceparent))
    bench.spans(telemetry)
    assert bench.receiver.one(SERVER).links == [(SENDER_TRACE, SENDER_SPAN)]


@pytest.mark.parametrize(
    "tracestate", ["UPPER=1", "a=1,a=2", "a", "=1", "a=" + "x" * 600, ",".join(f"k{n}=1" for n in range(40)), "a=b\r\n"]
)
def test_a_malformed_tracestate_costs_only_itself(bench: Bench, tracestate: str) -> None:
    telemetry = bench.telemetry("parent")
    telemetry.finish(a_delivery(telemetry, traceparent=SENDER, tracestate=tracestate))
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert (server.parent_id, server.tracestate) == (SENDER_SPAN, "")
