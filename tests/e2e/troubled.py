"""A connector of another package that does what connectors should not: to its worker, and to who waits for it."""

import asyncio
import os
import time
from pathlib import Path

from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed
from app.core.ports.connector import Connector, ConnectorContext

ACTIONS = {
    "block": "Hold the loop of the worker for ever",
    "die": "End the process of the worker",
    "wait": "Take so many seconds",
    "thread": "Hold a thread for ever",
    "stubborn": "Never end, not even when cancelled",
}


class Troubled(Connector):
    """Trouble by name."""

    @property
    def described(self) -> Described:
        """Actions that may be repeated, and one that may not."""
        actions = [Action(name, title, Effect.KEYED, {}) for name, title in ACTIONS.items()]
        return Described("troubled", "Trouble", (*actions, Action("unsafe", "Note, and hang", Effect.UNSAFE, {})))

    async def run(self, call: ActionCall) -> Done | Failed:
        """Do it."""
        if call.action == "block":
            while True:
                pass
        if call.action == "die":
            os._exit(3)
        if call.action == "thread":
            await asyncio.to_thread(time.sleep, 3600)
        if call.action == "unsafe":
            with Path(call.input["file"]).open("a") as book:
                book.write(f"{call.key}\n")
            await asyncio.sleep(3600)
        while call.action == "stubborn":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(call.input["seconds"])
        return Done({"waited": call.input["seconds"]})

    async def check(self, call: ActionCall) -> Failed | None:
        """Say that all is well."""
        return None


def make(context: ConnectorContext) -> Connector:
    """Make it, as the entry point says."""
    return Troubled()
