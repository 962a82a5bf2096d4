"""The menu: everything that OpsConnect can be asked to do."""

from dataclasses import dataclass

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
from app.core.use_cases.ingest_webhook import IngestWebhook
from app.core.use_cases.manage_keys import ManageKeys
from app.core.use_cases.offer_secret import OfferSecret
from app.core.use_cases.register_source import RegisterSource
from app.core.use_cases.release_refusal import ReleaseRefusal
from app.core.use_cases.start_job import StartJob
from app.core.use_cases.try_step import TryStep


@dataclass(frozen=True, slots=True)
class Application:
    """Built once in `app/infra/container.py`; entry points and adapters call these and nothing else."""

    ingest_webhook: IngestWebhook
    browse_events: BrowseEvents
    browse_refusals: BrowseRefusals
    browse_providers: BrowseProviders
    release_refusal: ReleaseRefusal
    check_health: CheckHealth
    apply_configuration: ApplyConfiguration
    browse_connections: BrowseConnections
    try_step: TryStep
    browse_sources: BrowseSources
    register_source: RegisterSource
    offer_secret: OfferSecret
    authenticate: Authenticate
    manage_keys: ManageKeys
    browse_audit: BrowseAudit
    browse_connectors: BrowseConnectors
    start_job: StartJob
    change_job: ChangeJob
    browse_jobs: BrowseJobs
