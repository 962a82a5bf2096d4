"""Every provider against the real process: the source that is to be pasted takes what is sent, and nothing forged."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from ruamel.yaml import YAML

from app.adapters.outgoing.client import AiohttpOutgoing
from app.core.catalog.catalogue import providers
from app.core.catalog.source_text import source_text
from app.core.use_cases.make_sample import SampleOrder, both_sides
from app.core.use_cases.send_sample import Delivered, Pace, SendSample
from tests.conftest import Servers
from tests.e2e.api import Api, free_port
from tests.e2e.conftest import configure
from tests.unit.catalog.test_samples import NAMES, secret_for

OPTIONAL = {"braintree": {"public_key": "example"}}


@dataclass
class Everything:
    """A process with one source for each scheme of the catalogue, and the orders that go to each."""

    api: Api
    orders: dict[str, SampleOrder]

    async def send(self, order: SampleOrder, pace: Pace) -> list[Delivered]:
        told: list[Delivered] = []
        client = AiohttpOutgoing(agent="tests")
        try:
            await SendSample(client, Random())(order, pace, told.append)
        finally:
            await client.close()
        return told


def source_of(order: SampleOrder, name: str, folder: Path) -> dict[str, object]:
    """What is printed for it, with its secrets in files and under a name of its own."""
    provider, scheme = order.provider, order.scheme
    checking = order.checking
    secrets = []
    for number, secret in enumerate([*checking.secrets, *checking.keys.values()]):
        file = folder / f"{name}.{number}"
        file.write_bytes(secret)
        secrets.append(f"file:{file}")
    settings = {word: value for word, value in checking.settings.items() if word in provider.settings}
    text = source_text(provider, scheme, order.public_url, secrets=secrets, settings=settings)
    (source,) = YAML(typ="safe").load(text)["sources"]
    return {**source, "name": name}


@pytest.fixture(scope="module")
def everything(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    folder = tmp_path_factory.mktemp("everything")
    url = servers.create_database()
    port = free_port()
    orders: dict[str, SampleOrder] = {}
    for provider in providers():
        for scheme in provider.schemes:
            name = f"{provider.name}-{scheme.name}"
            address = f"http://127.0.0.1:{port}/api/v1/webhooks/{name}"
            keys = both_sides(scheme, [secret_for(scheme)], None, OPTIONAL.get(provider.name, {}))
            orders[name] = SampleOrder(provider, scheme, *keys, address, address)
    configure(url, *(source_of(order, name, folder) for name, order in orders.items()))
    api = Api(url, servers.redis.url(), folder / "api.log", port=port, forked=True)
    try:
        yield Everything(api.start(), orders)
    finally:
        api.stop()
        asyncio.run(servers.drop_database(url))


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_sent_is_kept_once_and_what_is_forged_refused(everything: Everything, name: str) -> None:
    order = everything.orders[name]
    sent, again = await everything.send(order, Pace(repeat=True))
    assert sent.good, sent
    assert again.good, again
    (forged,) = await everything.send(replace(order, tamper=True), Pace())
    assert forged.good, forged
    listed = everything.api.get("/api/v1/events", params={"source": name}).json()["items"]
    assert [(one["type"], one["state"]) for one in listed] == [(sent.event_type, "received")]
