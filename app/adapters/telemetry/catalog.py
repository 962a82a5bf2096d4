"""The telemetry catalogue: every span, attribute, metric and log event of intake and workers, and what it means.

The code takes its names from here, and the documentation is held against it. Names are a promise: dashboards and alarms
are built on them. Nothing listed carries a body, a secret, a query string or an address of a person.
"""

from dataclasses import dataclass
from typing import Literal

SERVICE = "opsconnect"
WEBHOOK_ROUTE = "/api/v1/webhooks/{source}"
LEAD_ROUTE = "/api/v1/webhook"


@dataclass(frozen=True, slots=True)
class SpanEntry:
    """One kind of span: its name (`{…}` stands for a value), its kind and what its times mean."""

    name: str
    kind: Literal["SERVER", "CLIENT", "CONSUMER", "INTERNAL"]
    meaning: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family as `/metrics` shows it."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One kind of log line, beside `timestamp`, `level` and `event`, which all of them have."""

    name: str
    level: str
    meaning: str
    fields: tuple[str, ...] = ()


ATTRIBUTES = {
    "http.request.method": "the method, or `_OTHER`",
    "url.path": "the path without its query, at most 256 characters",
    "url.scheme": "http or https, as this service is reached",
    "http.route": "the route's template",
    "http.response.status_code": "the answer's status",
    "http.request.body.size": "bytes of the body",
    "client.address": "the address that sent the request",
    "error.type": "of a request only where the answer is 5xx or was never given: the outcome, or the status; of an"
    " execution and a step: the failure's code",
    "opsconnect.source": "the source's name",
    "opsconnect.provider": "the source's provider",
    "opsconnect.outcome": "`accepted`, `duplicate`, or the code of the refusal; of an execution how it ended",
    "opsconnect.event_id": "the event that was kept, that this delivery repeats, or that the job is of",
    "opsconnect.queue_ms": "from the end of the verification until the batch that took the delivery began",
    "opsconnect.lock.held": "keys of the batch that this process got the lock of",
    "opsconnect.lock.busy": "keys of the batch that another process had in hand",
    "opsconnect.lock.marked": "keys of the batch that were known as committed",
    "opsconnect.lock.unshielded": "keys of the batch that went on without a lock",
    "opsconnect.batch.size": "events in the statement",
    "opsconnect.commit_ms": "from sending the statement until its commit was confirmed",
    "opsconnect.jobs": "jobs that the event became",
    "opsconnect.job_id": "the job",
    "opsconnect.flow": "the flow that it is a run of, where it is one",
    "opsconnect.connection": "the connection, or the connector without one; of an execution that of its first step",
    "opsconnect.connector": "the kind of outside system; empty where there is no such connection",
    "opsconnect.action": "what it was asked to do; empty where nobody named an action",
    "opsconnect.step": "the step's name",
    "opsconnect.attempt": "the execution's number, counted over the job's life",
    "opsconnect.tries": "how often the step was tried within its retry policy",
    "db.system.name": "`postgresql`",
    "db.operation.name": "`INSERT`",
    "db.collection.name": "`events`",
    "db.operation.batch.size": "events in the statement, where there are two or more",
}

SERVER = SpanEntry(
    "{METHOD} {route}",
    "SERVER",
    "one webhook request, from its first byte until its answer was ready; a root of its own with a link to the sender's"
    " span, or that span's child (OPSCONNECT_TRACE_INCOMING)",
    ("http.request.method", "url.path", "url.scheme", "http.route", "http.response.status_code",
     "http.request.body.size", "client.address", "error.type", "opsconnect.source", "opsconnect.provider",
     "opsconnect.outcome", "opsconnect.event_id", "opsconnect.queue_ms"),
)  # fmt: skip
VERIFY = SpanEntry("verify", "INTERNAL", "the signature's check over the raw bytes")
LOCK = SpanEntry(
    "idempotency lock", "INTERNAL", "the one round trip in which the batch asked for the locks of all its keys",
    ("opsconnect.lock.held", "opsconnect.lock.busy", "opsconnect.lock.marked", "opsconnect.lock.unshielded"),
)  # fmt: skip
APPEND = SpanEntry(
    "append", "INTERNAL", "the batch's statement and its commit, with a link to the batch's own span",
    ("opsconnect.batch.size",),
)  # fmt: skip
BATCH = SpanEntry(
    "INSERT events", "CLIENT",
    "one statement and its commit, once a batch: the root of a trace of its own, recorded when a request in it is",
    ("db.system.name", "db.operation.name", "db.collection.name", "db.operation.batch.size", "opsconnect.batch.size",
     "opsconnect.commit_ms"),
)  # fmt: skip
PLAN = SpanEntry(
    "plan", "INTERNAL", "the transaction in which a worker made the event's jobs, with those of its neighbours",
    ("opsconnect.source", "opsconnect.event_id", "opsconnect.jobs"),
)  # fmt: skip
EXECUTE = SpanEntry(
    "execute {job}", "CONSUMER",
    "one claim of a job, until it was settled: in the trace of what the job came from, linked to the execution before",
    ("opsconnect.job_id", "opsconnect.event_id", "opsconnect.flow", "opsconnect.connection", "opsconnect.attempt",
     "opsconnect.outcome", "error.type"),
)  # fmt: skip
STEP = SpanEntry(
    "step {step}", "CLIENT", "one try at a step; its context goes along to the other side",
    ("opsconnect.step", "opsconnect.connection", "opsconnect.connector", "opsconnect.action", "opsconnect.tries",
     "error.type"),
)  # fmt: skip
SPANS = (SERVER, VERIFY, LOCK, APPEND, BATCH, PLAN, EXECUTE, STEP)

REQUESTS = Metric(
    "opsconnect_requests_total", "counter", "Webhook requests answered; source is `unknown` where there is none",
    ("source", "outcome"),
)  # fmt: skip
ACK_SECONDS = Metric(
    "opsconnect_ack_seconds", "histogram",
    "From the request's first byte until its answer was ready; class: accepted, duplicate, refused (4xx), failed (5xx)",
    ("class",), (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0),
)  # fmt: skip
REQUEST_BYTES = Metric(
    "opsconnect_request_bytes", "histogram", "Bytes of webhook bodies", (),
    (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 26214400.0),
)  # fmt: skip
FLUSH_ROWS = Metric(
    "opsconnect_flush_rows", "histogram", "Events in one statement and commit", (),
    (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0),
)  # fmt: skip
FLUSH_COMMIT_SECONDS = Metric(
    "opsconnect_flush_commit_seconds", "histogram", "From sending a statement until its commit was confirmed", (),
    (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0),
)  # fmt: skip
IN_HAND = Metric(
    "opsconnect_intake_in_hand", "gauge",
    "Webhooks that wait for their answer (requests), and bytes of webhook bodies that are in memory (bytes)", ("what",),
)  # fmt: skip
LOCKS = Metric(
    "opsconnect_locks_total", "counter", "Delivery keys asked of the idempotency lock: held, busy, marked, unshielded",
    ("outcome",),
)  # fmt: skip
POOL_CONNECTIONS = Metric(
    "opsconnect_pool_connections", "gauge", "Database connections; state: in_use, idle", ("pool", "state")
)
BREAKER_OPEN = Metric(
    "opsconnect_breaker_open", "gauge", "1 while intake leaves a dependency alone after failures: postgres, redis",
    ("dependency",),
)  # fmt: skip
SPANS_DROPPED = Metric(
    "opsconnect_spans_dropped_total", "counter",
    "Spans that reached no collector; reason: queue (it was full; a request counts once), export (it was refused)",
    ("reason",),
)  # fmt: skip
RECORDS_DROPPED = Metric(
    "opsconnect_records_dropped_total", "counter", "Requests that left no span, metric or line, as too many waited"
)
LINES_DROPPED = Metric(
    "opsconnect_log_lines_dropped_total", "counter", "Log lines that could not be written, as nobody read them"
)
REFUSED_CONNECTIONS = Metric(
    "opsconnect_refused_connections_total", "counter",
    "Connections ended before there was a whole request to answer, or before their answer was read; code: that of the"
    " answer, or silent, too_many_connections, answer_not_read", ("code",),
)  # fmt: skip
REFUSALS_DROPPED = Metric(
    "opsconnect_refusals_dropped_total", "counter",
    "Refused requests that were not kept to look at; reason: rate (more than so many a second of their source), volume"
    " (more than so many bytes a second of all), queue (too many wait for Postgres), failed (it did not take them)",
    ("reason",),
)  # fmt: skip
SUSPECTED_REPLAYS = Metric(
    "opsconnect_suspected_replays_total", "counter",
    "Events whose bytes came to their source before, under another id that is not signed",
    ("source",),
)  # fmt: skip
BUILD_INFO = Metric("opsconnect_build_info", "gauge", "1; the labels say what runs", ("version", "python"))
EVENTS_PLANNED = Metric(
    "opsconnect_events_planned_total", "counter",
    "Events taken from the inbox; jobs: some, or none (nobody wants it, or it cannot be read)", ("jobs",),
)  # fmt: skip
EXECUTIONS = Metric(
    "opsconnect_executions_total", "counter",
    "Claims of jobs that ended: completed, failed, parked (for a person), returned (the worker left), lost (the lease)",
    ("outcome",),
)  # fmt: skip
STEPS = Metric(
    "opsconnect_steps_total", "counter",
    "Tries at steps: done, or the class of the failure: retry, throttled, permanent, invalid", ("connector", "outcome"),
)  # fmt: skip
STEP_SECONDS = Metric(
    "opsconnect_step_seconds", "histogram", "How long tries took", ("connector",),
    (0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0, 64.0),
)  # fmt: skip
JOB_WAIT_SECONDS = Metric(
    "opsconnect_job_wait_seconds", "histogram", "From when a job was due until a worker had it", (),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0),
)  # fmt: skip
OPEN_JOBS = Metric(
    "opsconnect_open_jobs", "gauge", "Jobs in the whole database that are not finished, to 100,000; a look every 10 s",
    ("status",),
)  # fmt: skip
QUEUE_AGE_SECONDS = Metric(
    "opsconnect_queue_age_seconds", "gauge", "How long the job has waited that is due the longest; looked at every 10 s"
)
INBOX_EVENTS = Metric(
    "opsconnect_inbox_events", "gauge", "Events that nobody has planned yet, to 100,000; looked at every 10 s"
)
RUNNING_JOBS = Metric("opsconnect_running_jobs", "gauge", "Jobs that this worker has in hand")
LEASES_LOST = Metric(
    "opsconnect_leases_lost_total", "counter", "How often this worker lost its lease and stopped all its jobs"
)
METRICS = (
    REQUESTS, ACK_SECONDS, REQUEST_BYTES, FLUSH_ROWS, FLUSH_COMMIT_SECONDS, IN_HAND, LOCKS, POOL_CONNECTIONS,
    BREAKER_OPEN, SPANS_DROPPED, RECORDS_DROPPED, LINES_DROPPED, REFUSED_CONNECTIONS, REFUSALS_DROPPED,
    SUSPECTED_REPLAYS, BUILD_INFO, EVENTS_PLANNED, EXECUTIONS, STEPS, STEP_SECONDS, JOB_WAIT_SECONDS, OPEN_JOBS,
    QUEUE_AGE_SECONDS, INBOX_EVENTS, RUNNING_JOBS, LEASES_LOST,
)  # fmt: skip

WEBHOOK_ANSWERED = LogEvent(
    "webhook.answered", "info, warning (4xx or never answered), error (5xx)",
    "one webhook request; times in milliseconds and only where they were spent, detail only with a refusal",
    ("source", "event_id", "outcome", "status", "bytes", "verify_ms", "lock_ms", "append_ms", "total_ms", "trace_id",
     "client", "detail"),
)  # fmt: skip
TELEMETRY_FAILED = LogEvent(
    "telemetry.failed", "warning", "a fault of ours while recording, at most once a minute; the answers went out",
    ("part", "error", "where"),
)  # fmt: skip
EXPORT_FAILED = LogEvent(
    "telemetry.export_failed", "warning, info where no endpoint was configured",
    "spans do not reach the collector; at most once a minute, and once an hour where no endpoint was configured",
    ("endpoint", "reason", "spans_lost", "hint"),
)  # fmt: skip
EXPORT_RECOVERED = LogEvent("telemetry.export_recovered", "info", "spans reach the collector again", ("endpoint",))
SETTING_IGNORED = LogEvent(
    "telemetry.setting_ignored", "warning", "an OTEL_* variable asks for what is not there", ("variable", "hint")
)
REQUEST_ANSWERED = LogEvent(
    "request.answered", "info, warning (4xx), error (5xx); debug for health and metrics that answer well",
    "one request of the API, the console or a probe", ("method", "path", "status", "ms", "trace_id"),
)  # fmt: skip
CONNECTION_REFUSED = LogEvent(
    "connection.refused", "warning",
    "connections ended before there was a whole request; a line a second and code at most, for so many since the last",
    ("code", "client", "connections"),
)  # fmt: skip
SUSPECTED_REPLAY = LogEvent(
    "event.suspected_replay", "warning",
    "its bytes came to the source before, as the event `of`; some five a second are told, the metric has all",
    ("source", "event_id", "of"),
)  # fmt: skip
EXECUTION_ENDED = LogEvent(
    "execution.ended", "info, warning (failed, parked or lost)",
    "one claim of a job; times in milliseconds, code with a failure, retry_in_s where it is tried again",
    ("job_id", "event_id", "flow", "connection", "attempt", "outcome", "steps", "waited_ms", "total_ms", "trace_id",
     "code", "retry_in_s"),
)  # fmt: skip
CONNECTOR_LOG = LogEvent(
    "connector.log", "as the connection says, by default info",
    "the connector `log` was run: its connection's message, kind and size of the payload, and the values of those"
    " fields that the connection chose",
    ("message", "kind", "bytes", "key", "attempt", "fields"),
)  # fmt: skip
LOG_DROPPED = LogEvent("log.dropped", "warning", "so many lines before this one could not be written", ("lines",))
LOG_EVENTS = (
    WEBHOOK_ANSWERED, REQUEST_ANSWERED, EXECUTION_ENDED, CONNECTION_REFUSED, SUSPECTED_REPLAY, CONNECTOR_LOG,
    LOG_DROPPED, TELEMETRY_FAILED, EXPORT_FAILED, EXPORT_RECOVERED, SETTING_IGNORED,
)  # fmt: skip
