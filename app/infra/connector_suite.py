"""What every connector keeps to, as tests for whoever writes one: subclass `ConnectorSuite`, say how yours is called.

Plain asserts in async methods, which pytest runs with pytest-asyncio in its mode `auto`; neither is imported here.
CONTRIBUTING.md shows the whole of an example.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.connector import ActionCall, Done, Effect, Failed, Failure, Json
from app.core.domain.json_text import json_bytes
from app.core.ports.connector import Connector
from app.infra.connectors import faults_of

PATIENCE_SECONDS = 10.0
SHORT_SECONDS = 0.05
AT_ONCE = 20

_DEEP: Json = "deep"
for _ in range(60):
    _DEEP = [_DEEP]
HOSTILE: Sequence[Json] = [
    None, True, False, 0, -1, 1.5, 10**4000, 5e-324, "", "x", "\0", "\ud800", "\u202e<script>", "x" * 100_000,
    [], [[]], [None] * 1000, _DEEP, {}, {"": ""}, {"\0": 1}, {"\ud800": "\udfff"}, {"__proto__": {}}, {"a": [10**40]},
    {"value": None, "operand": "1"}, {"value": True, "operand": 1}, {"value": 1, "operand": 2, "more": 3},
    {"value": 10**4000, "operand": 1.5}, {"path": 1}, {"path": ""}, {"path": "//a"}, {"path": "/../a"},
    {"path": "/a\r\nb: c"}, {"path": "/a", "json": {}}, {"url": "http://a"}, {"headers": []}, {"headers": {"a b": "c"}},
    {"headers": {"host": "a"}}, {"headers": {"x": "a\r\nb: c"}}, {"headers": {"x": None}}, {"query": "a"},
    {"query": {"a": {"b": 1}}}, {"query": {"\ud800": "\ud800"}}, {"body": 1}, {"body": "\ud800"}, {"body_b64": "%"},
    {"body_b64": 1}, {"json": 1, "body": "a"}, {"method": "GET /"}, {"method": 1}, {"method": "CONNECT"},
]  # fmt: skip
"""Inputs as strangers and mistakes make them, all of which JSON can say."""
UNSAYABLE: Sequence[Json] = [
    float("inf"), float("nan"), {"value": float("inf"), "operand": 1}, {"json": float("inf")}, [10**5000],
]  # fmt: skip
"""What a reader of `1e400` gives, or a step that reckons: JSON cannot say it."""


class ConnectorSuite:
    """The tests; a subclass gives `make` and `calls`, and of the rest what its connector has."""

    def make(self) -> Connector:
        """Make the connector; every test has one of its own."""
        raise NotImplementedError

    def calls(self) -> Sequence[ActionCall]:
        """Give calls that are done, at least one for each action, with every secret that it takes."""
        raise NotImplementedError

    def failing(self) -> Sequence[ActionCall]:
        """Give calls that fit and fail, best of all where the other side says back what it was sent."""
        return ()

    def hanging(self) -> ActionCall | None:
        """Give a call on which the other side never answers; None: nobody is waited for."""
        return None

    async def under_way(self) -> None:
        """Return once the other side has that call."""

    def keys_seen(self) -> Sequence[str]:
        """Give the idempotency keys that came to the other side, one for each effect asked for, in order."""
        return ()

    async def test_it_describes_itself_wholly_and_always_alike(self) -> None:
        connector = self.make()
        assert faults_of(connector, JsonSchemas()) == []
        assert connector.described == self.make().described

    async def test_each_action_is_done_and_gives_what_json_can_keep(self) -> None:
        connector = self.make()
        described, calls = connector.described, self.calls()
        untried = {action.name for action in described.actions} - {call.action for call in calls}
        assert not untried, f"calls() tries none of {untried}"
        for call in calls:
            fault = _fault(described.settings_schema, call.settings) or _fault(_schema(connector, call), call.input)
            assert call.whole or fault is None, f"{call.action}: {fault}"
            assert set(call.secrets) <= set(described.secrets), f"{call.action} takes a secret that is not described"
            result = await _ran(connector, call)
            assert isinstance(result, Done), f"{call.action} failed: {result}"
            assert repr(json.loads(json_bytes(result.output))) == repr(result.output), f"{call.action} gives no JSON"

    async def test_many_may_call_at_once(self) -> None:
        connector = self.make()
        for call in self.calls():
            results = await asyncio.gather(*(_ran(connector, replace(call, key=f"k{n}")) for n in range(AT_ONCE)))
            assert all(isinstance(result, Done) for result in results), results

    async def test_input_that_does_not_fit_is_invalid_and_nothing_raises(self) -> None:
        connector = self.make()
        for call in self._one_of_each(connector):
            schema = _schema(connector, call)
            for given in HOSTILE:
                result = await _ran(connector, replace(call, input=given, whole=False))
                if (fault := _fault(schema, given)) is not None:
                    _assert_invalid(result, f"{call.action} of {ascii(given)[:80]} ({fault})")
                await _ran(connector, replace(call, input=given, whole=True))
            for given in UNSAYABLE:
                await _ran(connector, replace(call, input=given, whole=False))
                await _ran(connector, replace(call, input=given, whole=True))

    async def test_settings_and_secrets_that_do_not_fit_are_invalid_and_nothing_raises(self) -> None:
        connector = self.make()
        shape = connector.described.settings_schema
        for call in self._one_of_each(connector):
            for settings in _broken(call.settings):
                result = await _ran(connector, replace(call, settings=settings))
                await _checked(connector, replace(call, settings=settings))
                if (fault := _fault(shape, settings)) is not None:
                    _assert_invalid(result, f"settings {ascii(settings)[:80]} ({fault})")
            for secrets in _broken(call.secrets, [b"", b"\r\n", b"\0\xff", b"canary" * 9]):
                result = await _ran(connector, replace(call, secrets=secrets))
                assert "canary" not in repr(result) or isinstance(result, Done), f"a secret stands in {result}"

    async def test_no_failure_tells_a_secret(self) -> None:
        connector = self.make()
        for call in self.failing():
            result = await _ran(connector, call)
            assert isinstance(result, Failed), f"{call} was done"
            for name, secret in call.secrets.items():
                assert secret.decode("latin-1") not in repr(result), f"the secret {name} stands in {result}"

    async def test_the_key_of_a_call_comes_to_the_other_side_on_every_attempt(self) -> None:
        connector = self.make()
        for call in self._one_of_each(connector):
            action = connector.described.action(call.action)
            if action is None or action.effect is not Effect.KEYED:
                continue
            before = len(self.keys_seen())
            for key, attempt in (("first", 1), ("first", 2), ("second", 1)):
                await _ran(connector, replace(call, key=key, attempt=attempt))
            assert list(self.keys_seen()[before:]) == ["first", "first", "second"], f"{call.action} loses its key"

    async def test_a_check_says_that_it_works_and_has_no_effect(self) -> None:
        connector = self.make()
        before = list(self.keys_seen())
        for call in self._one_of_each(connector):
            result = await _checked(connector, call)
            assert result is None, f"check found {result}"
        assert list(self.keys_seen()) == before, "check had an effect"

    async def test_a_call_that_hangs_ends_in_time(self) -> None:
        if (call := self.hanging()) is not None:
            result = await _ran(self.make(), replace(call, seconds=SHORT_SECONDS))
            assert isinstance(result, Failed), f"it was {result}"
            assert result.failure is Failure.RETRY, f"it was {result}"

    async def test_who_cancels_a_call_does_not_wait_for_it(self) -> None:
        if (call := self.hanging()) is None:
            return
        running = asyncio.ensure_future(self.make().run(replace(call, seconds=600)))
        await asyncio.wait_for(self.under_way(), PATIENCE_SECONDS)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=PATIENCE_SECONDS)
        assert done, "it goes on"
        assert running.cancelled(), "it keeps to itself that it was cancelled"

    def _one_of_each(self, connector: Connector) -> Iterator[ActionCall]:
        calls = self.calls()
        for action in connector.described.actions:
            yield next(call for call in calls if call.action == action.name)


async def _ran(connector: Connector, call: ActionCall) -> Done | Failed:
    result = await asyncio.wait_for(connector.run(call), PATIENCE_SECONDS)
    assert isinstance(result, Done | Failed), f"{call.action} gave {type(result).__name__}"
    if isinstance(result, Failed):
        assert result.code, "a failure has a code"
        assert result.message.isprintable(), f"{result.message!r} is no line"
    return result


async def _checked(connector: Connector, call: ActionCall) -> Failed | None:
    return await asyncio.wait_for(connector.check(replace(call, input=None)), PATIENCE_SECONDS)


def _schema(connector: Connector, call: ActionCall) -> Mapping[str, Json]:
    action = connector.described.action(call.action)
    assert action is not None, f"calls() has {call.action}, which it cannot do"
    return action.input_schema


def _fault(schema: Mapping[str, Json], given: Json) -> str | None:
    return JsonSchemas().fault(json.dumps(schema), given)


def _broken(
    fitting: Mapping[str, Json], values: Sequence[Json] = (None, True, -1, "", "\0", [1], {"a": 1})
) -> Iterator[dict[str, Json]]:
    yield {}
    for name in fitting:
        yield {known: value for known, value in fitting.items() if known != name}
        yield from ({**fitting, name: value} for value in values)


def _assert_invalid(result: Done | Failed, what: str) -> None:
    assert isinstance(result, Failed), f"{what} was done"
    assert result.failure is Failure.INVALID, f"{what} is not INVALID: {result}"
    assert not result.maybe_done, f"{what} was sent"
