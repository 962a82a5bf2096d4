"""Sending samples: one or many, at a pace, each twice or each forged, and what was answered."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple

from app.core.domain.address import AllowPrivate
from app.core.domain.body import Readable, read_json
from app.core.domain.delivery_key import printable
from app.core.domain.errors import OpsConnectError
from app.core.domain.outgoing import WHOLE_SECONDS, OutgoingAnswer, OutgoingRequest, destination
from app.core.ports.outgoing import Outgoing
from app.core.use_cases.make_sample import MadeSample, SampleOrder, make_sample

MOST_IN_FLIGHT = 64

What = Literal["sent", "duplicate", "tampered"]


class Delivered(NamedTuple):
    """What became of one request."""

    number: int
    """Of the delivery, from 1; a duplicate has that of what it repeats."""
    what: What
    status: int | None
    """None: there was no answer, and `detail` says why."""
    seconds: float
    delivery_id: str | None
    """As the provider names it."""
    event_type: str | None
    event_id: str | None
    """As the answer names it."""
    detail: str
    """The answer's problem code, or why there was none."""

    @property
    def good(self) -> bool:
        """Tell whether it was answered as it should be: taken, or refused where it was tampered with."""
        wanted = 4 if self.what == "tampered" else 2
        return self.status is not None and self.status // 100 == wanted


@dataclass(frozen=True, slots=True)
class Pace:
    """How many, and how fast."""

    count: int = 1
    per_second: float | None = None
    """None: as fast as they are answered, so many at a time."""
    repeat: bool = False
    """Send each a second time, as soon as the first was answered."""


@dataclass(frozen=True, slots=True)
class SendSample:
    """Send samples to an address that the caller answers for: it may be one of this machine or this network."""

    outgoing: Outgoing
    random: Random
    clock: Callable[[], float] = field(default=time.time)
    """Seconds since the epoch, for signatures; the pace is kept by the loop's own."""

    async def __call__(self, order: SampleOrder, pace: Pace, tell: Callable[[Delivered], None]) -> None:
        """Send them, and tell of each as it is answered. Raises `Invalid` or `Forbidden` before anything is sent.

        Deliveries begin at their time, however long answers take, unless too many are unanswered.
        """
        host = destination(OutgoingRequest(order.url)).host
        allowed = AllowPrivate(names=frozenset({host}))
        make_sample(order, self.clock(), self.random)  # what is wrong with the order is said once, and now
        free = asyncio.Semaphore(MOST_IN_FLIGHT)
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def deliver(number: int) -> None:
            try:
                made = make_sample(order, self.clock(), self.random)
                tell(await self._sent(order, allowed, made, number, "tampered" if order.tamper else "sent"))
                if pace.repeat:
                    tell(await self._sent(order, allowed, made, number, "tampered" if order.tamper else "duplicate"))
            finally:
                free.release()

        async with asyncio.TaskGroup() as deliveries:
            for number in range(1, pace.count + 1):
                if pace.per_second is not None:
                    await asyncio.sleep(start + (number - 1) / pace.per_second - loop.time())
                await free.acquire()
                deliveries.create_task(deliver(number))

    async def _sent(
        self, order: SampleOrder, allowed: AllowPrivate, made: MadeSample, number: int, what: What
    ) -> Delivered:
        request = OutgoingRequest(
            made.request.url,
            made.request.method,
            [(name.decode(), _text(value)) for name, value in made.request.headers],
            made.request.body,
            allowed,
            seconds=order.provider.answer_seconds or WHOLE_SECONDS,
        )
        loop = asyncio.get_running_loop()
        start, status, event_id, detail = loop.time(), None, None, ""
        try:
            answer = await self.outgoing.send(request)
            status, event_id, detail = answer.status, next(iter(answer.values("x-event-id")), None), _code(answer)
        except OpsConnectError as error:
            detail = str(error)
        delivery_id, event_type, *_ = made.identity
        return Delivered(
            number,
            what,
            status,
            loop.time() - start,
            printable(delivery_id) if delivery_id else None,
            printable(event_type) if event_type else None,
            event_id,
            detail,
        )


def _text(value: bytes) -> str:
    """Give a header as what the client writes in UTF-8 again."""
    return value.decode("utf-8", "replace")


def _code(answer: OutgoingAnswer) -> str:
    """Give the code of a problem, as OpsConnect answers it."""
    content = read_json(answer.body)
    code = content.value.get("code") if isinstance(content, Readable) and isinstance(content.value, dict) else None
    return printable(code.encode("utf-8", "replace")) if isinstance(code, str) else ""
