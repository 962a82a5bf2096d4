"""The tables, as SQLAlchemy sees them; the migrations make them, and a test holds the two together."""

from sqlalchemy import (
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
    Index("delivery_keys_received_at_idx", "received_at", postgresql_using="brin"),
    postgresql_partition_by="HASH (key)",
)

body_digests = Table(
    "body_digests",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("event_id", Uuid(as_uuid=False), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Index("body_digests_received_at_idx", "received_at", postgresql_using="brin"),
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
