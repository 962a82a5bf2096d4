"""The guarded client behind TLS: who has not proved to be whom the address names gets no request."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from app.adapters.outgoing.client import AiohttpOutgoing
from app.adapters.outgoing.provider_keys import FetchedProviderKeys
from app.adapters.outgoing.resolver import AddressInfo, system_look_up
from app.core.domain.address import AllowPrivate
from app.core.domain.errors import Unavailable, Unreachable, Untrusted
from app.core.domain.outgoing import OutgoingRequest
from tests.peer import Peer, answering, peer, reply

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with the openssl command")

OK = answering(reply(200, b"fine"))


class Certificate:
    """One that the provider made itself, for `provider.test`."""

    def __init__(self, folder: Path) -> None:
        self.file, key = folder / "certificate.pem", folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:provider.test",
                   "-keyout", str(key), "-out", str(self.file)]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        self.serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.serving.load_cert_chain(self.file, key)

    def client(self, *, trusting: bool = True) -> AiohttpOutgoing:
        """A client to which every name is this machine, and who trusts this certificate, or the system's."""

        def look_up(_: str, port: int) -> list[AddressInfo]:
            return list(system_look_up("127.0.0.1", port))

        trust = ssl.create_default_context(cafile=str(self.file)) if trusting else None
        return AiohttpOutgoing(agent="OpsConnect/1", trust=trust, look_up=look_up)


def to(it: Peer, host: str = "provider.test") -> OutgoingRequest:
    return OutgoingRequest(
        f"https://{host}:{it.port}/", allow_private=AllowPrivate.of(["127.0.0.1"]), seconds=10, body=b"x", method="POST"
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def client(certificate: Certificate) -> AsyncIterator[AiohttpOutgoing]:
    client = certificate.client()
    yield client
    await client.close()


async def story(certificate: Certificate, client: AiohttpOutgoing) -> None:
    """Two requests on one connection that was proved."""
    async with peer(OK, certificate.serving) as it:
        for _ in range(2):
            assert (await client.send(to(it))).body == b"fine"
        assert [seen.connection for seen in it.seen] == [1, 1]


async def test_who_proves_to_be_whom_the_address_names_is_spoken_to(
    certificate: Certificate, client: AiohttpOutgoing
) -> None:
    await story(certificate, client)


def test_also_on_uvloop(certificate: Certificate) -> None:
    async def all_of_it() -> None:
        client = certificate.client()
        await story(certificate, client)
        await client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_of_it())


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(certificate: Certificate) -> None:
    client = certificate.client(trusting=False)
    async with peer(OK, certificate.serving) as it:
        with pytest.raises(Untrusted, match=r"provider\.test:.* did not prove who it is: self.signed certificate"):
            await client.send(to(it))
        assert it.seen == []
    await client.close()


async def test_a_providers_key_is_fetched_from_who_proved_to_be_the_provider(
    certificate: Certificate, client: AiohttpOutgoing
) -> None:
    async with peer(OK, certificate.serving) as it:
        keys = FetchedProviderKeys(client, allow_private=AllowPrivate.of(["127.0.0.1"]))
        assert await keys.get(f"https://provider.test:{it.port}/key") == b"fine"
        with pytest.raises(Unavailable, match="did not prove"):
            await keys.get(f"https://other.test:{it.port}/key")
        assert [(seen.method, seen.target) for seen in it.seen] == [("GET", "/key")]


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1", "x.provider.test"])
async def test_a_certificate_for_another_host_is_not_trusted(
    certificate: Certificate, client: AiohttpOutgoing, host: str
) -> None:
    async with peer(OK, certificate.serving) as it:
        with pytest.raises(Untrusted, match="not valid for"):
            await client.send(to(it, host))
        assert it.seen == []


async def test_who_does_not_speak_tls_is_not_trusted(client: AiohttpOutgoing) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    it = Peer(OK, server.sockets[0].getsockname()[1])
    async with server:
        with pytest.raises(Untrusted, match="does not speak TLS as it must"):
            await client.send(to(it))


async def test_an_old_version_of_tls_is_not_spoken(
    certificate: Certificate, client: AiohttpOutgoing, tmp_path: Path
) -> None:
    old = Certificate(tmp_path).serving
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with peer(OK, old) as it:
        with pytest.raises(Unreachable):
            await client.send(to(it))
