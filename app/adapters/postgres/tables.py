"""The tables, as SQLAlchemy sees them; the migrations make them, and a test holds the two together."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("source", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("type", Text),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("content_type", Text),
    Column("verification", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("events_source_id_idx", "source", "id"),
    postgresql_partition_by="RANGE (id)",
)

event_states = Table(
    "event_states",
    metadata,
    Column("event_id", Uuid(as_uuid=False), primary_key=True),
    Column("state", Text, nullable=False, server_default="received"),
    Column("reason", Text),
    Column("duplicates", Integer, nullable=False, server_default="0"),
    Column("conflicts", Integer, nullable=False, server_default="0"),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("replay_of", Uuid(as_uuid=False)),
    Column("jobs_open", Integer, nullable=False, server_default="0"),
    Column("jobs_completed", Integer, nullable=False, server_default="0"),
    Column("jobs_dead", Integer, nullable=False, server_default="0"),
    CheckConstraint("state IN ('received', 'processed', 'discarded', 'dead', 'quarantined')"),
    Index("event_states_state_event_id_idx", "state", "event_id", postgresql_where=text("state <> 'received'")),
    postgresql_partition_by="RANGE (event_id)",
)

delivery_keys = Table(
    "delivery_keys",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("event_id", Uuid(as_uuid=False), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    postgresql_partition_by="HASH (key)",
)

body_digests = Table(
    "body_digests",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("event_id", Uuid(as_uuid=False), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    postgresql_partition_by="HASH (key)",
)

replay_looks = Table(
    "replay_looks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Uuid(as_uuid=False), nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True, cache=1), primary_key=True),
    Column("event_id", Uuid(as_uuid=False), nullable=False),
    Column("source", Text, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("event_id", Uuid(as_uuid=False), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("content_type", Text),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("spec", JSON, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

connections = Table(
    "connections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("spec", JSON, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

registrations = Table(
    "registrations",
    metadata,
    Column("source", Text, ForeignKey("sources.name", ondelete="CASCADE"), primary_key=True),
    Column("opened_at", DateTime(timezone=True), nullable=False),
)

registered_secrets = Table(
    "registered_secrets",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, ForeignKey("sources.name", ondelete="CASCADE"), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("kept_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("source", "opened_at"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("source", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("lead", Boolean, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary),
    Column("digest", LargeBinary),
    Column("weight", Integer, nullable=False),
    Column("event_id", Uuid(as_uuid=False)),
)


def _of_jobs() -> tuple[Column[Any], ...]:
    """What a job keeps from its making to its end."""
    return (
        Column("id", Uuid(as_uuid=False), primary_key=True),
        Column("status", Text, nullable=False),
        Column("flow", Text),
        Column("connector_name", Text, nullable=False),
        Column("event_id", Uuid(as_uuid=False)),
        Column("run", Integer, nullable=False, server_default="1"),
        Column("attempt", Integer, nullable=False, server_default="0"),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("traceparent", Text, nullable=False),
        Column("last_traceparent", Text),
        Column("plan", Text, nullable=False),
        Column("payload", Text),
        Column("steps", Text, nullable=False, server_default="[]"),
        Column("result", Text),
        Column("executions", ARRAY(Text), nullable=False, server_default="{}"),
        Column("error_message", Text),
        Column("fingerprint", Text),
    )


open_jobs = Table(
    "open_jobs",
    metadata,
    *_of_jobs(),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("claimed_at", DateTime(timezone=True)),
    Column("worker", Uuid(as_uuid=False)),
    Column("token", Uuid(as_uuid=False)),
    CheckConstraint("status IN ('pending', 'in_progress', 'retrying', 'waiting')"),
    CheckConstraint("(status = 'in_progress') = (token IS NOT NULL)"),
    Index("open_jobs_pending_idx", "id", postgresql_where=text("status = 'pending'")),
    Index("open_jobs_retrying_idx", "due_at", postgresql_where=text("status = 'retrying'")),
    Index("open_jobs_worker_idx", "worker", postgresql_where=text("status = 'in_progress'")),
    Index("open_jobs_lost_idx", "losses", postgresql_where=text("losses >= 2")),
    Index("open_jobs_event_id_idx", "event_id"),
)

finished_jobs = Table(
    "finished_jobs",
    metadata,
    *_of_jobs(),
    CheckConstraint("status IN ('completed', 'error', 'cancelled')"),
    Index("finished_jobs_event_id_idx", "event_id", postgresql_where=text("event_id IS NOT NULL")),
    Index("finished_jobs_status_id_idx", "status", "id", postgresql_where=text("status <> 'completed'")),
    Index("finished_jobs_connector_name_id_idx", "connector_name", "id"),
    Index("finished_jobs_flow_id_idx", "flow", "id", postgresql_where=text("flow IS NOT NULL")),
    postgresql_partition_by="RANGE (id)",
)

workers = Table(
    "workers",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("name", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("lease_until", DateTime(timezone=True), nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    CheckConstraint("scope IN ('read', 'operate', 'admin')"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("trace_id", Text),
    Column("hash", LargeBinary, nullable=False),
)
