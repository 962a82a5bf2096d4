"""Trying one step once: finding what it works with, filling its input in, and calling the connector.

Nothing gets out of here but an outcome: a connector is other people's code.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.core.domain.address import AllowPrivate
from app.core.domain.connection import Connection
from app.core.domain.connector import Action, ActionCall, Done, Failed, Failure, Json
from app.core.domain.errors import Invalid, SecretMissing, Unavailable
from app.core.domain.expression import filled
from app.core.domain.json_text import json_ascii
from app.core.domain.step import StepPlan, StepRecord
from app.core.ports.connector import Connector
from app.core.ports.secret_store import SecretStore

GRACE_SECONDS = 1.0
"""Beyond its own limit, after which an action is cut off."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a step works with."""

    connector: Connector
    action: Action
    connection: Connection


@dataclass(frozen=True, slots=True)
class TryStep:
    """Find a step's tool, and use it; or see whether it would work."""

    connectors: Mapping[str, Connector]
    find_connection: Callable[[str], Awaitable[Connection | None]]
    """Raises `Unavailable`."""
    secrets: SecretStore
    seconds: float = 30.0
    """For one try."""

    async def find(self, plan: StepPlan) -> Tool | Failed:
        """Find what a step works with: a connection, or a connector that needs no settings."""
        try:
            connection = await self.find_connection(plan.use)
        except Unavailable as error:
            return Failed(Failure.RETRY, "unavailable", str(error))
        if connection is None and plan.use in self.connectors:
            connection = Connection(plan.use, plan.use)
        if connection is None or connection.connector not in self.connectors:
            what = "connection or connector" if connection is None else "connector"
            named = plan.use if connection is None else connection.connector
            known = ", ".join(sorted(self.connectors))
            text = f"there is no {what} called {named!r}: connectors are {known}; 'opsconnect apply' makes connections"
            return Failed(Failure.INVALID, "unknown_connector", text)
        described = self.connectors[connection.connector].described
        action = described.action(plan.action or None)
        if action is None:
            can = ", ".join(action.name for action in described.actions)
            text = f"connector {described.name} has no action {plan.action!r}: it has {can}"
            return Failed(Failure.INVALID, "unknown_action", text)
        return Tool(self.connectors[connection.connector], action, connection)

    async def use(
        self, tool: Tool, plan: StepPlan, step: StepRecord, known: Mapping[str, Json], traceparent: str
    ) -> Done | Failed:
        """Call the connector with the step's input; `known` is what expressions see, `event.body` the payload."""
        try:
            given = known["event"]["body"] if plan.input is None else filled(plan.input, known)
        except Invalid as error:
            return Failed(Failure.INVALID, "invalid_input", str(error))
        call = await self._call(tool, given, step, traceparent, whole=plan.input is None)
        return call if isinstance(call, Failed) else await _outcome(_run(tool.connector, call), self.seconds)

    async def check(self, name: str) -> Failed | None:
        """Tell whether a connection would work, without an effect; None: as far as one sees."""
        tool = await self.find(StepPlan(name, name, ""))
        if isinstance(tool, Failed):
            return tool
        call = await self._call(tool, None, StepRecord(name, tries=1))
        if isinstance(call, Failed):
            return call
        outcome = await _outcome(_checked(tool.connector, call), self.seconds)
        return outcome if isinstance(outcome, Failed) else None

    async def _call(
        self, tool: Tool, given: Json, step: StepRecord, traceparent: str = "", *, whole: bool = False
    ) -> ActionCall | Failed:
        connection = tool.connection
        try:
            return ActionCall(
                action=tool.action.name,
                input=given,
                settings=connection.settings,
                secrets={name: await self.secrets.resolve(where) for name, where in connection.secrets},
                allow_private=AllowPrivate.of(connection.allow_private),
                key=step.key or "",
                attempt=step.tries,
                traceparent=traceparent,
                whole=whole,
                seconds=self.seconds,
            )
        except Invalid as error:
            return Failed(Failure.INVALID, "invalid_input", str(error))
        except SecretMissing as error:
            return Failed(Failure.INVALID, "secret_missing", str(error))
        except Unavailable as error:
            return Failed(Failure.RETRY, "unavailable", str(error))


async def _run(connector: Connector, call: ActionCall) -> Done | Failed:
    return await connector.run(call)  # in here, so that what is no coroutine, or never gets so far, is found out


async def _checked(connector: Connector, call: ActionCall) -> Done | Failed:
    return await connector.check(call) or Done(None)


async def _outcome(running: Awaitable[Done | Failed], seconds: float) -> Done | Failed:
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            outcome = await running
        if isinstance(outcome, Failed):
            return outcome
        json_ascii(outcome.output)
        return Done(outcome.output)
    except TimeoutError:
        return Failed(Failure.RETRY, "timeout", f"it did not end within {seconds:g} s", maybe_done=True)
    except Exception as error:  # noqa: BLE001
        name = type(error).__name__
        text = f"the connector raised {name}, or gave what is neither an outcome nor JSON"
        return Failed(Failure.RETRY, name, text, maybe_done=True)
