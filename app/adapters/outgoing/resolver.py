"""Looking up names in threads of its own.

The system's resolver can hang for half a minute and cannot be told to stop. In the pool that the event loop shares with
everybody, a few such look-ups would hold up whoever reads a file; and at the end the process would wait for them. These
threads are bounded, and the process ends without them.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from threading import Thread
from typing import Any

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it: family, type, protocol, canonical name, socket address."""

LookUp = Callable[[str, int], Sequence[AddressInfo]]


def system_look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system, which may take its time."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Turns names into addresses; a look-up that nobody waits for any more keeps its thread until it ends."""

    def __init__(self, look_up: LookUp = system_look_up, *, threads: int = 16) -> None:
        self._look_up = look_up
        self._free = asyncio.Semaphore(threads)

    async def resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Give what a name, or a literal, stands for. Raises `OSError`."""
        if (literal := _literal(host, port)) is not None:
            return [literal]
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[AddressInfo]] = loop.create_future()

        def settle(found: Sequence[AddressInfo] | Exception) -> None:
            self._free.release()
            if answer.done():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def work() -> None:
            found: Sequence[AddressInfo] | Exception
            try:
                found = self._look_up(host, port)
            except Exception as error:  # noqa: BLE001 (it is raised where the answer is awaited)
                found = error
            with suppress(RuntimeError):  # the loop was closed: nobody waits
                loop.call_soon_threadsafe(settle, found)

        try:
            Thread(target=work, name="resolve a host", daemon=True).start()
        except RuntimeError as error:  # no more threads for this process
            self._free.release()
            raise OSError(str(error)) from error
        return await answer


def _literal(host: str, port: int) -> AddressInfo | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)
