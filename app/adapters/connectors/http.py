"""Any HTTP API, and webhooks to others, through the guarded client.

What a call asks for is described by its input, or is a payload as it came (`ActionCall.whole`), which is then the body,
as JSON, of a request to `base_url` and nothing else: who sends payloads chooses no path and no header.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping

from app.adapters.connectors.http_answer import outcome
from app.adapters.connectors.http_auth import SECRETS, sign_delivery
from app.adapters.connectors.http_input import ANY, ASKING, SENDING, Asked
from app.adapters.connectors.http_request import Kind, finished, request_of
from app.adapters.connectors.http_settings import SETTINGS_SCHEMA, HttpSettings, read_settings
from app.core.catalog.proof import SignedRequest
from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed, Failure, invalid
from app.core.domain.errors import (
    AnswerLost,
    AnswerTooSlow,
    ConnectingTooSlow,
    Forbidden,
    Invalid,
    OpsConnectError,
    Unavailable,
    Untrusted,
)
from app.core.domain.outgoing import OutgoingRequest, destination
from app.core.ports.connector import Connector
from app.core.ports.outgoing import Outgoing

_KINDS: Mapping[str, Kind] = {
    "post": Kind("POST", SENDING, keyed=True),
    "get": Kind("GET", ASKING),
    "put": Kind("PUT", SENDING),
    "patch": Kind("PATCH", SENDING, keyed=True),
    "delete": Kind("DELETE", ASKING),
    "request": Kind(None, ANY, keyed=True),
    "deliver": Kind("POST", SENDING, keyed=True, signed=True),
}
_TITLES = {
    "post": "POST a body, with an Idempotency-Key",
    "get": "GET what is there",
    "put": "PUT a body",
    "patch": "PATCH with a body, with an Idempotency-Key",
    "delete": "DELETE what is there",
    "request": "Send a request of any method, with an Idempotency-Key",
    "deliver": "POST a body, signed as Standard Webhooks has it, with the idempotency key as its webhook-id",
}
DESCRIBED = Described(
    name="http",
    title="HTTP: any API, and signed deliveries",
    actions=tuple(
        Action(name, _TITLES[name], Effect.KEYED if kind.keyed else Effect.IDEMPOTENT, kind.schema)
        for name, kind in _KINDS.items()
    ),
    settings_schema=SETTINGS_SCHEMA,
    secrets=SECRETS,
)
_REFUSED = frozenset({"http_401", "http_403", "http_407"})


class HttpConnector(Connector):
    """Calls by HTTP: what an answer means is sorted by its status, and everything else by the client's errors."""

    def __init__(self, outgoing: Outgoing, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch: signatures hold a time, and some answers name one."""
        self._outgoing = outgoing
        self._clock = clock

    @property
    def described(self) -> Described:
        """An action for each usual method, one for any, one for deliveries."""
        return DESCRIBED

    async def run(self, call: ActionCall) -> Done | Failed:
        """Send one request; an answer of 2xx means done."""
        kind = _KINDS.get(call.action)
        if kind is None:
            return invalid(f"http can {', '.join(_KINDS)}, and nothing else", "unknown_action")
        try:
            settings = read_settings(call.settings)
            request = request_of(kind, call, settings, self._clock())
        except Invalid as error:
            return invalid(str(error))
        return await self._sent(request, call, settings)

    async def check(self, call: ActionCall) -> Failed | None:
        """Ask for the head of `base_url`. Any answer will do that neither refuses the credentials nor is a failure."""
        try:
            settings = read_settings(call.settings)
            request = finished(Asked("HEAD", settings.base_url), call, settings, self._clock())
            if "signing" in call.secrets:
                sign_delivery(SignedRequest("POST", settings.base_url, [], b"{}"), call.secrets, self._clock())
        except Invalid as error:
            return invalid(str(error))
        result = await self._sent(request, call, settings)
        if isinstance(result, Done):
            return None
        if result.failure is Failure.PERMANENT and result.code not in _REFUSED:
            return None  # 404 or 405: there is a server, and what it takes is known to whoever writes flows
        return result

    async def _sent(self, request: OutgoingRequest, call: ActionCall, settings: HttpSettings) -> Done | Failed:
        try:
            asked = f"{request.method} {destination(request)}"
            answer = await self._outgoing.send(request)
        except (Invalid, Forbidden) as error:
            return invalid(str(error), "forbidden_destination" if isinstance(error, Forbidden) else "invalid_request")
        except (Unavailable, AnswerLost) as error:
            return Failed(Failure.RETRY, _code(error), str(error), maybe_done=isinstance(error, AnswerLost))
        return outcome(answer, asked, settings, _hidden(call, settings), self._clock())


def _code(error: OpsConnectError) -> str:
    codes = (
        (AnswerTooSlow, "answer_timeout"),
        (AnswerLost, "answer_lost"),
        (ConnectingTooSlow, "connect_timeout"),
        (Untrusted, "tls_untrusted"),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), "unreachable")


def _hidden(call: ActionCall, settings: HttpSettings) -> Iterator[bytes]:
    """Give what no message may hold, though a server may send it back: secrets, and what a header shows of them."""
    if settings.auth is not None:
        yield b64encode(settings.auth.shown(call.secrets))
    yield from sorted(call.secrets.values(), key=len, reverse=True)
