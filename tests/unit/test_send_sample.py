"""Sending samples: how many, how fast, each twice, and what is told of the answers."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from app.adapters.memory.outgoing import MemoryOutgoing
from app.core.catalog.catalogue import find
from app.core.catalog.proof import Genuine
from app.core.catalog.verifying import prepare
from app.core.domain.address import AllowPrivate
from app.core.domain.errors import Forbidden, Invalid
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.core.use_cases.make_sample import SampleOrder, both_sides, make_sample
from app.core.use_cases.send_sample import MOST_IN_FLIGHT, Delivered, Pace, SendSample

NOW = 1_800_000_000.0


def order(name: str = "stripe", url: str = "http://localhost:8000/in") -> SampleOrder:
    provider = find(name)
    assert provider is not None
    return SampleOrder(provider, provider.schemes[0], *both_sides(provider.schemes[0], [b"s"], None, {}), url, url)


async def taken(_request: OutgoingRequest) -> OutgoingAnswer:
    return OutgoingAnswer(202, [("x-event-id", "e-1")], b"{}", truncated=False)


async def refused(_request: OutgoingRequest) -> OutgoingAnswer:
    return OutgoingAnswer(401, [], b'{"code": "signature_mismatch"}', truncated=False)


class Sending:
    """One run on a server in memory."""

    def __init__(self, answering: object = taken, host: str = "localhost") -> None:
        self.outgoing = MemoryOutgoing(answering, {host: "127.0.0.1"})  # type: ignore[arg-type]
        self.told: list[Delivered] = []

    async def __call__(self, about: SampleOrder, pace: Pace = Pace()) -> list[Delivered]:  # noqa: B008 (frozen)
        await SendSample(self.outgoing, Random(1), lambda: NOW)(about, pace, self.told.append)
        return self.told


async def test_what_was_sent_and_what_came_back_is_told() -> None:
    sending = Sending()
    (told,) = await sending(order())
    (request,) = sending.outgoing.sent
    assert told.delivery_id is not None
    assert told.delivery_id.encode() in request.body
    assert told[:3] == (1, "sent", 202)
    assert (told.event_type, told.event_id, told.detail, told.good) == ("payment_intent.succeeded", "e-1", "", True)
    assert request.method == "POST"
    assert dict(request.headers)["stripe-signature"].startswith("t=1800000000,v1=")


async def test_only_the_host_that_was_named_may_be_private() -> None:
    sending = Sending()
    await sending(order())
    assert sending.outgoing.sent[0].allow_private == AllowPrivate(names=frozenset({"localhost"}))


async def test_each_is_another_delivery_and_a_duplicate_the_very_same() -> None:
    sending = Sending()
    told = await sending(order(), Pace(3, repeat=True))
    bodies = [request.body for request in sending.outgoing.sent]
    assert len(bodies) == 6
    assert len(set(bodies)) == 3
    assert sorted(one.what for one in told) == ["duplicate"] * 3 + ["sent"] * 3
    for number in (1, 2, 3):
        first, second = (one for one in told if one.number == number)
        assert (first.what, second.what, first.delivery_id) == ("sent", "duplicate", second.delivery_id)


@pytest.mark.parametrize(
    ("tamper", "answering", "good"), [(True, refused, True), (True, taken, False), (False, refused, False)]
)
async def test_what_is_right_depends_on_whether_it_was_tampered_with(
    tamper: bool, answering: object, good: bool
) -> None:
    (told,) = await Sending(answering)(replace(order(), tamper=tamper))
    assert told.good is good
    assert told.what == ("tampered" if tamper else "sent")


async def test_the_code_of_a_problem_is_told() -> None:
    (told,) = await Sending(refused)(order())
    assert told.detail == "signature_mismatch"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"code": 7}', b"\xff", b'{"code": "a\\u001b[2J"}'])
async def test_an_answer_that_is_no_problem_has_no_code_and_none_reaches_a_terminal_raw(body: bytes) -> None:
    async def strange(_request: OutgoingRequest) -> OutgoingAnswer:
        return OutgoingAnswer(500, [], body, truncated=False)

    (told,) = await Sending(strange)(order())
    assert told.detail in {"", "a\\x1b[2J"}
    assert not told.good


async def test_who_gives_no_answer_is_told_of_and_the_others_are_sent() -> None:
    told = await Sending(host="elsewhere")(order(), Pace(2))
    assert [(one.status, one.good, one.detail) for one in told] == [(None, False, "localhost has no address")] * 2


async def test_an_answer_is_waited_for_as_long_as_the_provider_would() -> None:
    sending = Sending()
    await sending(order("wix"))
    assert sending.outgoing.sent[0].seconds == 1.25


async def test_no_more_than_so_many_are_unanswered_at_once() -> None:
    open_now, most, release = 0, 0, asyncio.Event()

    async def slow(_request: OutgoingRequest) -> OutgoingAnswer:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if open_now == MOST_IN_FLIGHT:
            release.set()
        await release.wait()
        open_now -= 1
        return await taken(_request)

    assert len(await Sending(slow)(order(), Pace(3 * MOST_IN_FLIGHT))) == 3 * MOST_IN_FLIGHT
    assert most == MOST_IN_FLIGHT


async def test_the_pace_is_kept_however_long_answers_take() -> None:
    """Each begins at its own time after the start: waits do not add up, and an answer is not waited for."""
    loop = asyncio.get_running_loop()
    begun: list[float] = []
    enough = asyncio.Event()

    async def late(_request: OutgoingRequest) -> OutgoingAnswer:
        begun.append(loop.time())
        if len(begun) == 20:
            enough.set()
        await enough.wait()
        return await taken(_request)

    start = loop.time()
    await Sending(late)(order(), Pace(20, per_second=100))
    assert all(moment - start >= number / 100 - 0.002 for number, moment in enumerate(begun))
    assert begun[-1] - start >= 0.19 - 0.002


async def test_who_is_interrupted_has_told_of_what_was_answered() -> None:
    third = asyncio.Event()

    async def stuck_at_last(_request: OutgoingRequest) -> OutgoingAnswer:
        if len(sending.outgoing.sent) == 3:
            third.set()
            await asyncio.Event().wait()
        return await taken(_request)

    sending = Sending(stuck_at_last)
    task = asyncio.create_task(sending(order(), Pace(1000, per_second=1000)))
    await third.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one.number for one in sending.told][:2] == [1, 2]


@pytest.mark.parametrize(
    ("about", "fault"),
    [
        (order(url="localhost"), "must begin with https://"),
        (order(url="http://a@localhost/"), "no user or password"),
        (replace(order(), event_type=""), "this type cannot be given"),
        (replace(order("wix"), event_type="x"), "it says no type"),
        (replace(order("linear"), body=b"no JSON"), "of a JSON object, and the body is none"),
        (replace(order("braintree"), body=b"<x/>"), "the setting public_key is missing"),
        (replace(order("svix")), "it is not Base64"),
    ],
)
async def test_what_is_wrong_with_an_order_is_said_before_anything_is_sent(about: SampleOrder, fault: str) -> None:
    sending = Sending()
    with pytest.raises(Invalid, match=fault):
        await sending(about, Pace(5))
    assert sending.outgoing.sent == []


async def test_a_number_that_hides_an_address_is_forbidden() -> None:
    with pytest.raises(Forbidden):
        await Sending()(order(url="http://2130706433/"))


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN PRIVATE" + b" KEY-----\nMAA=\n-----END PRIVATE" + b" KEY-----\n"]
)
@pytest.mark.parametrize("name", ["discord", "wise", "sendgrid"])
def test_what_is_no_private_key_is_said(name: str, pem: bytes) -> None:
    provider = find(name)
    assert provider is not None
    with pytest.raises(Invalid, match=r"private key|secret is missing"):
        both_sides(provider.schemes[0], [], pem, {})


def test_a_private_key_of_another_kind_is_said() -> None:
    discord, wise, sendgrid = find("discord"), find("wise"), find("sendgrid")
    assert discord is not None
    assert wise is not None
    assert sendgrid is not None
    pem = both_sides(discord.schemes[0], [], None, {})[0].secrets[0]
    for provider, kind in [(wise, "RSA"), (sendgrid, "ECDSA on the curve P-256")]:
        with pytest.raises(Invalid, match=f"must be one for {kind}"):
            both_sides(provider.schemes[0], [], pem, {})


@pytest.mark.parametrize(
    "name", ["discord", "wise", "sendgrid", "paypal", "apple_appstore", "google_pubsub", "ebay", "plaid", "fal"]
)
async def test_a_kept_key_signs_for_a_source_that_was_told_of_it_before(name: str) -> None:
    provider = find(name)
    assert provider is not None
    scheme, settings = provider.schemes[0], {"bundle_id": "com.example", "webhook_id": "WH-1"}
    first, told = both_sides(scheme, [], None, settings)
    again, _ = both_sides(scheme, [], first.secrets[0], settings)
    made = make_sample(
        SampleOrder(provider, scheme, again, told, "https://a.example/", "https://a.example/"), NOW, Random(1)
    )
    assert isinstance(prepare(scheme, told)(made.request, NOW), Genuine)
