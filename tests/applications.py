"""The whole menu on memory, for what stands in front of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from secrets import token_bytes
from time import time_ns

from fastapi import FastAPI

from app.adapters.memory.api_keys import MemoryApiKeys
from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.memory.wake_ups import MemoryWakeUps
from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.web.api import make_api
from app.core.application import Application
from app.core.ports.api_keys import ApiKeys
from app.core.ports.audit_log import AuditLog
from app.core.ports.job_store import JobStore
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
from app.core.use_cases.ingest_webhook import Receipt, WebhookRequest
from app.core.use_cases.manage_keys import ManageKeys
from app.core.use_cases.offer_secret import OfferSecret
from app.core.use_cases.register_source import RegisterSource
from app.core.use_cases.release_refusal import ReleaseRefusal
from app.core.use_cases.start_job import StartJob
from app.core.use_cases.try_step import TryStep
from tests.applying import CONNECTORS, applying
from tests.intake import intake_on


@dataclass
class InMemory:
    """What an application stands on; a test looks at it from below."""

    take_in: Callable[[WebhookRequest], Awaitable[Receipt]] | None = None
    """Instead of the use case of intake."""
    refusals: MemoryRefusalStore = field(default_factory=MemoryRefusalStore)
    keys: ApiKeys = field(default_factory=MemoryApiKeys)
    audit: AuditLog = field(default_factory=MemoryAuditLog)
    jobs: JobStore = field(default_factory=lambda: MemoryJobStore(Jobs(MemoryEventStore())))

    @property
    def application(self) -> Application:
        """Everything that can be asked."""
        events, kept, secrets = MemoryEventStore(), MemoryConfiguration(), EnvironmentSecrets({})
        sources = kept.sources
        registrations, sealing = MemoryRegistrations(), AesGcmSealing([], secrets)
        ingest = intake_on(sources, secrets, events)
        return Application(
            ingest_webhook=ingest,
            browse_events=BrowseEvents(events),
            browse_refusals=BrowseRefusals(self.refusals),
            browse_providers=BrowseProviders(),
            release_refusal=ReleaseRefusal(self.refusals, self.take_in or ingest.take_in, self.audit),
            check_health=CheckHealth(needed=(), wanted=()),
            apply_configuration=applying(secrets, kept, self.audit),
            browse_connections=BrowseConnections(kept.connections, sources),
            try_step=TryStep(CONNECTORS, kept.connections.get, secrets),
            browse_sources=BrowseSources(sources, registrations, ""),
            register_source=RegisterSource(sources, registrations, sealing, self.audit),
            offer_secret=OfferSecret(registrations, sealing),
            authenticate=Authenticate(self.keys, None),
            manage_keys=ManageKeys(self.keys, self.audit, token_bytes, time_ns),
            browse_audit=BrowseAudit(self.audit),
            browse_connectors=BrowseConnectors(CONNECTORS),
            start_job=StartJob(self.jobs, MemoryWakeUps()),
            change_job=ChangeJob(self.jobs, MemoryWakeUps(), self.audit),
            browse_jobs=BrowseJobs(self.jobs, events),
        )

    @property
    def api(self) -> FastAPI:
        """Its routes."""
        return make_api(
            self.application,
            version="1",
            draining=lambda: False,
            metrics=lambda: (b"", "text/plain; version=0.0.4"),
            traceparent=lambda: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            body_limit_bytes=1_000_000,
        )
