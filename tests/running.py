"""A worker's core on memories, with a connector that does what a test tells it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import uuid4

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.job_claims import MemoryJobClaims
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.workers import MemoryWorkers
from app.adapters.secrets.environment import EnvironmentSecrets
from app.core.domain.connection import Connection
from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed
from app.core.domain.errors import Unavailable
from app.core.domain.ids import JobId
from app.core.domain.job import Job
from app.core.domain.step import StepPlan
from app.core.ports.connector import Connector
from app.core.ports.inbox import InboxEvent
from app.core.ports.job_claims import ClaimedJob, Progress, Settlement
from app.core.ports.job_telemetry import ExecutionRecord, JobTelemetry
from app.core.ports.telemetry import Trace
from app.core.use_cases.run_job import RunJob
from app.core.use_cases.try_step import TryStep
from tests.jobs import a_job

START = 1_900_000_000.0
SECRETS = {"TOKEN": "s3cret"}


@dataclass(frozen=True)
class KeptTrace(Trace):
    number: int

    @property
    def trace_id(self) -> str:
        return f"{self.number:032x}"

    @property
    def traceparent(self) -> str:
        return f"00-{self.number:032x}-b7ad6b7169203331-01"


class KeptTelemetry(JobTelemetry):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[ExecutionRecord] = []
        self.plans: list[tuple[InboxEvent, Sequence[JobId]]] = []
        self._traces = 0

    def begin(self, job: ClaimedJob, started_ns: int) -> Trace:
        return self.begin_step(KeptTrace(0), "", started_ns)

    def begin_step(self, execution: Trace, name: str, started_ns: int) -> Trace:
        self._traces += 1
        return KeptTrace(self._traces)

    def finish(self, record: ExecutionRecord) -> None:
        self.records.append(record)

    def planned(self, event: InboxEvent, jobs: Sequence[JobId], started_ns: int, ended_ns: int) -> None:
        self.plans.append((event, jobs))


class CommandedConnector(Connector):
    """One action of each effect; all of them do what `act` says, and the calls are kept."""

    def __init__(self) -> None:
        self.calls: list[ActionCall] = []
        self.act: Callable[[ActionCall], Awaitable[Any]] = self.give_back

    @property
    def described(self) -> Described:
        return Described("test", "Test", tuple(Action(effect.value, effect.value, effect, {}) for effect in Effect))

    @staticmethod
    async def give_back(call: ActionCall) -> Done:
        return Done(call.input)

    def will(self, *outcomes: Any) -> None:
        """Say what the next calls end with, one after another; what is an exception is raised."""
        left = list(outcomes)

        async def act(_call: ActionCall) -> Any:
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        self.act = act

    async def run(self, call: ActionCall) -> Done | Failed:
        self.calls.append(call)
        outcome: Done | Failed = await self.act(call)
        return outcome

    async def check(self, call: ActionCall) -> Failed | None:
        return None


class CommandedClaims(MemoryJobClaims):
    """Claims in memory at the end of a wire that the test holds."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__(jobs)
        self.before_record: list[Exception | None] = []
        self.before_settle: list[Exception | None] = []
        """What the next calls raise instead of writing anything."""

    async def record(self, progress: Sequence[Progress]) -> set[JobId]:
        if self.before_record and (error := self.before_record.pop(0)):
            raise error
        return set(await super().record(progress))

    async def settle(self, settlements: Sequence[Settlement]) -> set[JobId]:
        if self.before_settle and (error := self.before_settle.pop(0)):
            raise error
        return set(await super().settle(settlements))


class Half(Random):
    """Chance that is none: every delay is half of the longest."""

    def random(self) -> float:
        return 0.5


@dataclass
class Worker:
    """A worker's core, and everything around it."""

    now: float = START
    connector: CommandedConnector = field(default_factory=CommandedConnector)
    telemetry: KeptTelemetry = field(default_factory=KeptTelemetry)
    events: MemoryEventStore = field(default_factory=MemoryEventStore)
    connections: dict[str, Connection] | None = field(default_factory=dict)
    """None: they cannot be looked up now."""
    seconds: float = 30.0

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.events, lambda: datetime.fromtimestamp(self.now, UTC))
        self.store, self.workers = MemoryJobStore(self.jobs), MemoryWorkers(self.jobs)
        self.claims = CommandedClaims(self.jobs)

    @property
    def run_job(self) -> RunJob:
        """The use case."""
        secrets = EnvironmentSecrets(SECRETS)
        try_step = TryStep({"test": self.connector}, self._find, secrets, self.seconds)
        return RunJob(self.claims, try_step, self.telemetry, Half(), lambda: round(self.now * 1e9))

    async def _find(self, name: str) -> Connection | None:
        if self.connections is None:
            raise Unavailable("the connections are away")
        return self.connections.get(name)

    async def claim(self) -> ClaimedJob:
        """Let a new worker claim the one job that is due."""
        worker = str(uuid4())
        await self.workers.enlist(worker, "test", 1e9)
        (job,) = await self.claims.claim(worker, 9)
        return job

    async def turn(self) -> Job:
        """Claim it, run it, and look at it."""
        job = await self.claim()
        assert await self.run_job(job)
        return await self.look(job.id)

    async def start(self, *steps: StepPlan, **fields: Any) -> Job:
        """Add a job, and give it its first turn."""
        await self.store.add([a_job(**{"steps": steps, "connector_name": "test", **fields})])
        return await self.turn()

    async def look(self, job_id: JobId) -> Job:
        """Look at a job."""
        job = await self.store.get(job_id)
        assert job is not None
        return job

    async def die(self) -> None:
        """All workers are gone, and that is found out."""
        self.jobs.leases.clear()
        await self.claims.rescue()


def step(effect: Effect = Effect.IDEMPOTENT, name: str = "only", **fields: Any) -> StepPlan:
    """A step of the connector."""
    return StepPlan(name, fields.pop("use", "test"), effect.value, **fields)
