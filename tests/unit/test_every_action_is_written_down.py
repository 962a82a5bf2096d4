"""I12: each action of an operator has its entry, which is there before the action; without an entry it is not done.

A new action is a line in `Action`, and one in `DEEDS`.
"""

from collections.abc import Awaitable, Callable

import pytest

from app.adapters.memory.api_keys import MemoryApiKeys
from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.memory.wake_ups import MemoryWakeUps
from app.adapters.secrets.environment import EnvironmentSecrets
from app.core.domain.api_key import NewApiKey, Scope
from app.core.domain.audit import Action, AuditEntry, Detail, NewAuditEntry
from app.core.domain.document import Document
from app.core.domain.errors import Unavailable
from app.core.domain.ids import api_key_id
from app.core.domain.source import Source
from app.core.ports.job_store import JobQuery
from app.core.use_cases.change_job import ChangeJob
from app.core.use_cases.manage_keys import ManageKeys
from app.core.use_cases.register_source import RegisterSource
from app.core.use_cases.release_refusal import ReleaseRefusal
from tests.applying import applying
from tests.intake import intake_on
from tests.jobs import a_job
from tests.operators import ADA
from tests.refusals import a_refusal
from tests.registering import ASANA, House

OPEN = Source("open", "test", verify=None)
REFUSAL = a_refusal(source="open", body=b"{}")
KEY = NewApiKey(api_key_id(10**18), "deploy", "oc_", b"deploy", Scope.READ, None)
DEAD, IDLE = a_job(), a_job()
SOURCES = Document({"sources": [{"name": name, "provider": "test", "verify": "none"} for name in ("new", "open")]})


class Log(MemoryAuditLog):
    """Notes how everything stood when an entry was appended; or cannot be written."""

    def __init__(self, state: Callable[[], Awaitable[str]], *, away: bool) -> None:
        super().__init__()
        self.state, self.away = state, away
        self.seen: list[str] = []

    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        if self.away:
            raise Unavailable("away")
        self.seen.append(await self.state())
        return await super().append(entry)


class World:
    """Everything that an operator can change, on memory."""

    def __init__(self, *, away: bool) -> None:
        self.house = House()
        self.kept = MemoryConfiguration(MemorySourceRegistry([OPEN, ASANA]))
        self.sources = self.kept.sources
        self.refusals, self.keys, self.events = MemoryRefusalStore(), MemoryApiKeys(), MemoryEventStore()
        self.log = Log(self.state, away=away)
        secrets = EnvironmentSecrets({})
        ingest = intake_on(self.sources, secrets, self.events)
        self.apply = applying(secrets, self.kept, self.log)
        self.release = ReleaseRefusal(self.refusals, ingest.take_in, self.log)
        self.register = RegisterSource(self.sources, self.house.registrations, self.house.sealing, self.log)
        self.jobs = MemoryJobStore(Jobs(self.events))
        self.change = ChangeJob(self.jobs, MemoryWakeUps(), self.log)
        self.manage = ManageKeys(self.keys, self.log, bytes, lambda: 10**18)

    async def prepare(self) -> "World":
        await self.refusals.keep([REFUSAL])
        await self.keys.create(KEY)
        await self.house.registrations.open("asana")
        await self.house.offer(ASANA, b"canary")
        await self.jobs.add([DEAD, IDLE])
        await self.jobs.cancel(DEAD.id)
        return self

    async def state(self) -> str:
        registration = await self.house.registrations.look("asana")
        refusal = await self.refusals.get(REFUSAL.id)
        jobs = [(job.id, job.status) for job in (await self.jobs.find(JobQuery())).jobs]
        return repr((await self.sources.all(), registration, refusal, await self.keys.all(), self.events.inbox, jobs))


Deed = Callable[[World], Awaitable[object]]

DEEDS: dict[Action, tuple[Deed, str, dict[str, Detail]]] = {
    Action.APPLY: (lambda world: world.apply(SOURCES, ADA), "configuration", {"created": ["new"], "changed": []}),
    Action.REFUSAL_RELEASE: (
        lambda world: world.release(REFUSAL.id, ADA),
        REFUSAL.id,
        {"source": "open", "code": REFUSAL.code},
    ),
    Action.SOURCE_REGISTER: (lambda world: world.register("asana", ADA), "asana", {}),
    Action.SOURCE_REVEAL_SECRET: (lambda world: world.register.reveal("asana", ADA), "asana", {"secret": 1}),
    Action.SOURCE_FORGET_SECRET: (lambda world: world.register.forget("asana", 1, ADA), "asana", {"secret": 1}),
    Action.JOB_RETRY: (lambda world: world.change.retry(DEAD.id, ADA), DEAD.id, {}),
    Action.JOB_CANCEL: (lambda world: world.change.cancel(IDLE.id, ADA), IDLE.id, {}),
    Action.KEY_CREATE: (
        lambda world: world.manage.create("new", Scope.OPERATE, ADA),
        "new",
        {"prefix": "oc_AAAAAAAA", "scope": "operate", "expires_at": None},
    ),
    Action.KEY_REVOKE: (lambda world: world.manage.revoke("deploy", ADA), "deploy", {"id": KEY.id}),
}
LOOKS_ONLY = {Action.SOURCE_REVEAL_SECRET}


def test_every_action_is_here() -> None:
    assert set(DEEDS) == set(Action)


@pytest.mark.parametrize("action", DEEDS)
async def test_it_is_written_down_and_then_done(action: Action) -> None:
    deed, target, details = DEEDS[action]
    world = await World(away=False).prepare()
    before = await world.state()
    assert await deed(world)
    (entry,) = world.log.entries
    assert (entry.actor, entry.action, entry.target) == ("cli:ada", action, target)
    assert {name: entry.details[name] for name in details} == details
    assert all(secret not in repr(entry) for secret in ("canary", "A" * 43))
    assert world.log.seen == [before]
    assert (await world.state() == before) is (action in LOOKS_ONLY)


@pytest.mark.parametrize("action", DEEDS)
async def test_what_cannot_be_written_down_is_not_done(action: Action) -> None:
    world = await World(away=True).prepare()
    before = await world.state()
    with pytest.raises(Unavailable, match="away"):
        await DEEDS[action][0](world)
    assert await world.state() == before


async def test_a_dry_run_and_what_there_is_nothing_to_do_about_are_no_actions() -> None:
    world = await World(away=True).prepare()
    await world.apply(SOURCES, ADA, dry_run=True)
    assert await world.release("nothing", ADA) is None
    assert await world.register("nothing", ADA) is None
    assert await world.register.reveal("open", ADA) is None
    assert not await world.register.forget("asana", 99, ADA)
    assert await world.manage.revoke("nothing", ADA) is None
