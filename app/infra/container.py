"""The composition root: the only place where ports meet the adapters that a process runs on.

Production, tests and the command line call the same `build`. Nothing connects before it is used.
"""

import os
import secrets as randomness
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from random import Random

import structlog
from dotenv import dotenv_values
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.adapters.memory.rate_limit import MemoryRateLimit
from app.adapters.outgoing.budget import AttemptBudget
from app.adapters.outgoing.on_demand import OutgoingOnDemand
from app.adapters.outgoing.provider_keys import FetchedProviderKeys
from app.adapters.postgres.api_keys import PostgresApiKeys
from app.adapters.postgres.audit_log import PostgresAuditLog
from app.adapters.postgres.configuration import PostgresConfiguration
from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.event_reader import PostgresEventReader
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.fitness import PostgresProbe, refuse_unfit
from app.adapters.postgres.job_store import PostgresJobStore
from app.adapters.postgres.refusal_store import PostgresRefusalStore
from app.adapters.postgres.registrations import PostgresRegistrations
from app.adapters.postgres.registries import PostgresConnectionRegistry, PostgresSourceRegistry
from app.adapters.postgres.replay_watch import ReplayWatch
from app.adapters.postgres.upkeep import Upkeep
from app.adapters.postgres.wake_ups import PostgresWakeUps
from app.adapters.schemas.on_demand import SchemasOnDemand
from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.handshake import HandshakeSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.adapters.telemetry.catalog import SUSPECTED_REPLAY
from app.core.application import Application
from app.core.catalog.replays import takes_new_ids
from app.core.domain.api_key import digest_of
from app.core.domain.errors import OpsConnectError, Unfit
from app.core.domain.ids import EventId
from app.core.domain.retry import usual_policy
from app.core.policies.breaker import BreakingLock, BreakingStore, Guard, GuardedProbe
from app.core.policies.cached_api_keys import CachedApiKeys
from app.core.policies.cached_connections import CachedConnections
from app.core.policies.cached_keys import CachedKeys
from app.core.policies.cached_secrets import CachedSecrets
from app.core.policies.cached_sources import CachedSources
from app.core.policies.group_commit import Bounds, GroupCommit
from app.core.policies.hinting import Hinting
from app.core.policies.leased_rates import LeasedRates
from app.core.policies.refreshing_caches import RefreshingCaches
from app.core.policies.refusal_book import RefusalBook, RefusalBounds
from app.core.policies.registering_sources import RegisteringSources
from app.core.policies.shielded import Shielded
from app.core.ports.configuration import Configuration
from app.core.ports.connector import Connector
from app.core.ports.idempotency_lock import IdempotencyLock
from app.core.ports.probe import Probe
from app.core.ports.rate_limit import RateLimit
from app.core.ports.secret_store import SecretStore
from app.core.ports.wake_ups import WakeUps
from app.core.use_cases.apply_configuration import ApplyConfiguration
from app.core.use_cases.authenticate import Authenticate
from app.core.use_cases.browse_audit import BrowseAudit
from app.core.use_cases.browse_connections import BrowseConnections
from app.core.use_cases.browse_connectors import BrowseConnectors
from app.core.use_cases.browse_events import BrowseEvents
from app.core.use_cases.browse_jobs import BrowseJobs
from app.core.use_cases.browse_providers import BrowseProviders
from app.core.use_cases.browse_refusals import BrowseRefusals
from app.core.use_cases.browse_sources import BrowseSources
from app.core.use_cases.change_job import ChangeJob
from app.core.use_cases.check_health import CheckHealth
from app.core.use_cases.follow_challenge import FollowChallenge
from app.core.use_cases.ingest_webhook import IngestWebhook
from app.core.use_cases.manage_keys import ManageKeys
from app.core.use_cases.offer_secret import OfferSecret
from app.core.use_cases.prepare_source import PrepareSource
from app.core.use_cases.register_source import RegisterSource
from app.core.use_cases.release_refusal import ReleaseRefusal
from app.core.use_cases.send_sample import SendSample
from app.core.use_cases.start_job import StartJob
from app.core.use_cases.try_step import TryStep
from app.infra import database_url
from app.infra.connectors import find_connectors
from app.infra.supervisor import Duty
from app.settings import Settings

VERSION = version("opsconnect")
REPEAT_SECONDS = 60.0


_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Container:
    """What `build` made: the application, and what a serving process needs around it."""

    settings: Settings
    application: Application
    connections: Connections
    engine: AsyncEngine
    shield: Shielded
    sources: CachedSources
    connected: CachedConnections
    """What the configuration calls connections; `connections` lead to Postgres."""
    configuration: Configuration
    connectors: Mapping[str, Connector]
    secrets: SecretStore
    wake_ups: WakeUps
    database_url: str
    rates: LeasedRates
    breakers: Mapping[str, Guard]
    """By what is behind them: `postgres` and, where one is configured, `redis`."""
    refusal_book: RefusalBook
    replay_watch: ReplayWatch
    duties: tuple[Duty, ...]
    """Of a process that takes webhooks in."""
    worker_duties: tuple[Duty, ...]
    """Of a process that runs jobs and nothing else."""

    async def refuse_unfit(self, revision: str) -> None:
        """Refuse a database on which the promises would not hold. Raises `Unfit`; one that is away is let pass."""
        try:
            await refuse_unfit(self.connections, revision=revision)
        except Unfit:
            raise
        except OpsConnectError as error:
            # It may come back; until then readiness says no, and intake 503. Each connection is looked at again.
            _log.warning("start.database_unavailable", reason=str(error))


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Container]:
    """Put everything together, and take it apart at the end. Raises `Invalid` when there is no database to be found."""
    url = database_url.find(settings)
    budget = Budget(
        acquire_seconds=settings.postgres_acquire_seconds,
        connect_seconds=settings.postgres_connect_seconds,
        call_seconds=settings.postgres_append_seconds,
        lock_seconds=settings.postgres_lock_seconds,
        statement_seconds=settings.postgres_statement_seconds,
        idle_in_transaction_seconds=settings.postgres_idle_in_transaction_seconds,
    )
    async with AsyncExitStack() as stack:
        connections = Connections(url, budget=budget, largest=settings.postgres_intake_connections)
        stack.push_async_callback(connections.close)
        # Operators look through more rows than intake writes, and nobody waits for them at a till.
        patient = Budget(acquire_seconds=2, connect_seconds=2, call_seconds=11, statement_seconds=10)
        engine = make_engine(url, budget=patient, largest=settings.postgres_operator_connections)
        stack.push_async_callback(engine.dispose)
        background = Connections(url, budget=patient, largest=2)
        stack.push_async_callback(background.close)

        lock, breakers, probes = _lock(settings, stack)
        breakers["postgres"] = Guard(
            "Postgres",
            errors=settings.postgres_breaker_errors,
            open_seconds=settings.postgres_breaker_seconds,
            on_lost=failed("postgres.lost"),
            on_recovered=lambda: _log.info("postgres.recovered"),
        )
        shield = Shielded(PostgresEventStore(connections), lock, on_failure=failed("duplicates.uncounted"))
        stack.push_async_callback(shield.write_counts)
        registrations = PostgresRegistrations(connections)
        sources = CachedSources(
            PostgresSourceRegistry(connections),
            refresh_seconds=settings.source_refresh_seconds,
            on_failure=failed("sources.not_refreshed"),
        )
        connected = CachedConnections(
            PostgresConnectionRegistry(connections),
            refresh_seconds=settings.source_refresh_seconds,
            on_failure=failed("connections.not_refreshed"),
        )
        configuration = RefreshingCaches(
            RegisteringSources(PostgresConfiguration(connections), sources, registrations), sources, connected
        )
        outgoing = OutgoingOnDemand(agent=f"OpsConnect/{VERSION}", budget=_attempt(settings))
        stack.push_async_callback(outgoing.close)
        keys = CachedKeys(
            FetchedProviderKeys(outgoing, fetch_seconds=settings.provider_key_fetch_seconds),
            seconds=settings.provider_key_seconds,
            wait_seconds=settings.provider_key_wait_seconds,
            on_failure=failed("keys.not_fetched"),
        )
        stack.push_async_callback(keys.close)  # after the client: it is undone first
        stores = _stores()
        sealing = AesGcmSealing(settings.seal_keys, CachedSecrets(ReferencedSecrets(stores)))
        references = ReferencedSecrets({**stores, "handshake": HandshakeSecrets(registrations, sealing)})
        follow = FollowChallenge(
            outgoing,
            on_followed=lambda source: _log.info("challenge.followed", source=source),
            on_failure=lambda source, error: _log.warning("challenge.not_followed", source=source, reason=str(error)),
        )
        stack.push_async_callback(follow.close)
        secrets = CachedSecrets(references)
        schemas = SchemasOnDemand()
        connectors = find_connectors(outgoing, schemas, files=settings.data_dir / "files")
        events = PostgresEventReader(engine)
        jobs = PostgresJobStore(background, engine)
        wake_ups = PostgresWakeUps(url, budget=patient)
        stack.push_async_callback(wake_ups.close)
        store = GroupCommit(
            Hinting(BreakingStore(shield, breakers["postgres"]), wake_ups),
            Bounds(
                rows=settings.flush_rows,
                bytes=settings.flush_bytes,
                flushers=settings.flushers,
                budget_seconds=settings.ingest_budget_seconds,
            ),
        )
        refusals = PostgresRefusalStore(background, engine)
        refusal_book = RefusalBook(
            refusals,
            RefusalBounds(
                count=settings.refusals_count,
                weight=settings.refusals_megabytes * 1_000_000,
                age=timedelta(days=settings.refusals_days),
                per_second=settings.refusals_per_second,
            ),
            on_failure=failed("refusals.not_kept"),
        )
        offer = OfferSecret(registrations, sealing)
        api_keys = CachedApiKeys(PostgresApiKeys(background, engine), on_failure=failed("api_keys.uses_not_noted"))
        audit = PostgresAuditLog(background, engine)
        admin_key = settings.admin_key and settings.admin_key.get_secret_value().encode()
        replay_watch = ReplayWatch(
            background,
            lambda: _taking_new_ids(sources),
            on_suspected=_tell_suspected,
            on_failure=failed("replays.not_watched"),
        )
        ingest = IngestWebhook(
            PrepareSource(sources, secrets, keys, schemas),
            store,
            refusal_book.note,
            offer,
            follow,
            budget_seconds=settings.ingest_budget_seconds,
        )
        upkeep = Upkeep(background, key_retention_days=settings.key_retention_days, on_failure=failed("upkeep.failed"))
        yield Container(
            settings=settings,
            application=Application(
                ingest_webhook=ingest,
                browse_events=BrowseEvents(events),
                browse_refusals=BrowseRefusals(refusals),
                browse_providers=BrowseProviders(settings.public_url),
                release_refusal=ReleaseRefusal(refusals, ingest.take_in, audit),
                check_health=CheckHealth(
                    needed=(GuardedProbe(PostgresProbe(connections), breakers["postgres"]),), wanted=probes
                ),
                apply_configuration=ApplyConfiguration(
                    configuration, sources, connected, connectors, references, schemas, audit
                ),
                browse_connections=BrowseConnections(connected, sources),
                try_step=TryStep(connectors, connected.get, secrets, settings.step_seconds),
                browse_sources=BrowseSources(sources, registrations, settings.public_url),
                register_source=RegisterSource(sources, registrations, sealing, audit),
                offer_secret=offer,
                authenticate=Authenticate(api_keys, digest_of(admin_key) if admin_key else None),
                manage_keys=ManageKeys(api_keys, audit, randomness.token_bytes, time.time_ns),
                browse_audit=BrowseAudit(audit),
                browse_connectors=BrowseConnectors(connectors),
                start_job=StartJob(jobs, wake_ups, usual_policy(settings.retry_first_seconds)),
                change_job=ChangeJob(jobs, wake_ups, audit),
                browse_jobs=BrowseJobs(jobs, events),
            ),
            connections=connections,
            engine=engine,
            shield=shield,
            sources=sources,
            connected=connected,
            configuration=configuration,
            connectors=connectors,
            secrets=secrets,
            wake_ups=wake_ups,
            database_url=url,
            rates=LeasedRates(_rates(settings, stack)),
            breakers=breakers,
            refusal_book=refusal_book,
            replay_watch=replay_watch,
            duties=(
                shield,
                sources,
                connected,
                wake_ups,
                refusal_book,
                api_keys,
                *([replay_watch] if settings.replay_watch == "on" else []),
                upkeep,
            ),
            worker_duties=(sources, connected, wake_ups, upkeep),
        )


@asynccontextmanager
async def build_sender(settings: Settings) -> AsyncIterator[SendSample]:
    """Put together what sends samples, and nothing else: it needs no database."""
    from app.adapters.outgoing.client import AiohttpOutgoing  # now, so that the first answer is not timed with it

    outgoing = AiohttpOutgoing(agent=f"OpsConnect/{VERSION}", budget=_attempt(settings))
    try:
        yield SendSample(outgoing, Random())  # noqa: S311 (ids of samples are no secrets)
    finally:
        await outgoing.close()


def references_here() -> SecretStore:
    """Make what resolves references without a database: to variables and files."""
    return ReferencedSecrets(_stores())


def _stores() -> dict[str, SecretStore]:
    return {"env": EnvironmentSecrets(_variables()), "file": FileSecrets()}


def _attempt(settings: Settings) -> AttemptBudget:
    return AttemptBudget(
        dns_seconds=settings.outgoing_dns_seconds,
        tcp_seconds=settings.outgoing_tcp_seconds,
        tls_seconds=settings.outgoing_tls_seconds,
        first_byte_seconds=settings.outgoing_first_byte_seconds,
    )


def _variables() -> dict[str, str]:
    """What `env:NAME` finds: the environment, and beneath it the `.env` that the settings are read from too."""
    return {name: value for name, value in dotenv_values(".env").items() if value is not None} | dict(os.environ)


def _taking_new_ids(sources: CachedSources) -> list[str] | None:
    known = sources.at_hand()
    return None if known is None else [source.name for source in known if takes_new_ids(source)]


def _tell_suspected(source: str, event_id: EventId, first_id: EventId) -> None:
    _log.warning(SUSPECTED_REPLAY.name, source=source, event_id=event_id, of=first_id)


def _lock(settings: Settings, stack: AsyncExitStack) -> tuple[IdempotencyLock, dict[str, Guard], tuple[Probe, ...]]:
    if settings.redis_url is None:
        return MemoryIdempotencyLock(), {}, ()
    from app.adapters.redis.idempotency_lock import RedisIdempotencyLock  # a tenth of the start, and commands need none

    redis = RedisIdempotencyLock(
        settings.redis_url.get_secret_value(),
        connect_seconds=settings.redis_connect_seconds,
        operation_seconds=settings.redis_operation_seconds,
        lock_seconds=settings.lock_seconds,
        marker_seconds=settings.marker_seconds,
    )
    stack.push_async_callback(redis.close)
    guard = Guard(
        "Redis",
        errors=settings.redis_breaker_errors,
        open_seconds=settings.redis_breaker_seconds,
        on_lost=failed("redis.lost"),
        on_recovered=lambda: _log.info("redis.recovered"),
    )
    return BreakingLock(redis, guard), {"redis": guard}, (redis.probe,)


def _rates(settings: Settings, stack: AsyncExitStack) -> RateLimit:
    if settings.redis_url is None:
        return MemoryRateLimit()
    from app.adapters.redis.rate_limit import RedisRateLimit

    redis = RedisRateLimit(
        settings.redis_url.get_secret_value(),
        connect_seconds=settings.redis_connect_seconds,
        operation_seconds=settings.redis_operation_seconds,
    )
    stack.push_async_callback(redis.close)
    return redis


def failed(event: str, clock: Callable[[], float] = time.monotonic) -> Callable[[Exception], None]:
    """Make what tells of failures: a duty that fails every two seconds for the same reason says so once a minute."""
    told, silent_until = "", float("-inf")

    def tell(error: Exception) -> None:
        nonlocal told, silent_until
        if str(error) != told or clock() >= silent_until:
            told, silent_until = str(error), clock() + REPEAT_SECONDS
            _log.warning(event, reason=told)

    return tell
