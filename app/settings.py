"""The whole configuration: `OPSCONNECT_*` from the environment and `.env`, one frozen tree, all problems at once."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.domain.errors import Fault, Invalid
from app.core.domain.source import LARGEST_BODY_BYTES

_HOST_AND_PORT = r"(?:\[[0-9A-Fa-f:.%]+\]|[^/?#@:,\[\]]*)(?::[0-9]+)?"
_POSTGRES = re.compile(
    rf"postgres(?:ql)?://(?:[^/?#]*@)?{_HOST_AND_PORT}(?:,{_HOST_AND_PORT})*(?:/[^?#]*)?(?:\?[^#]*)?"
)
_REDIS = re.compile(rf"rediss?://(?:[^/?#]*@)?{_HOST_AND_PORT}(?:/[0-9]*)?(?:\?[^#]*)?")

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")


def _postgres(value: SecretStr | None) -> SecretStr | None:
    if value and not _POSTGRES.fullmatch(value.get_secret_value()):
        raise ValueError(
            "must look like postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with / # ? in the password as %2F %23 %3F"
        )
    return value


def _redis(value: SecretStr | None) -> SecretStr | None:
    if value and not _REDIS.fullmatch(value.get_secret_value()):
        raise ValueError("must look like redis://:PASSWORD@HOST:PORT/0, with / # ? in the password as %2F %23 %3F")
    return value


def _networks(value: str) -> str:
    for part in value.replace(",", " ").split():
        ip_network(part)
    return value


def _references(value: str | None) -> str | None:
    if value and not all(_REFERENCE.fullmatch(reference.strip()) for reference in value.split(",")):
        raise ValueError(
            "must say where the key is, never the key itself: env:NAME or file:PATH, several with commas between"
        )
    return value


class Settings(BaseSettings):
    """Every setting with its default; names say the unit. `docs/operations.md` explains each."""

    model_config = SettingsConfigDict(
        env_prefix="OPSCONNECT_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    environment: Literal["dev", "production"] = Field("production", description="dev: readable logs")
    database_url: Annotated[SecretStr | None, AfterValidator(_postgres)] = Field(
        None, description="where events are kept: postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    )
    redis_url: Annotated[SecretStr | None, AfterValidator(_redis)] = Field(
        None, description="the idempotency shield: redis://:PASSWORD@HOST:PORT/0; without it, one process only"
    )
    admin_key: SecretStr | None = Field(
        None, description="the bearer key of everything but webhooks and health; `serve` needs one"
    )
    seal_key: Annotated[str | None, AfterValidator(_references)] = Field(
        None, description="where the key is that seals the secrets which providers bring: env:NAME or file:PATH"
    )
    data_dir: Path = Field(Path(".opsconnect"), description="the folder of the embedded servers")
    postgres_bin: Path | None = Field(None, description="the folder of the embedded Postgres's binaries")
    public_url: str = Field("", description="the address under which providers reach this, for what is printed")

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="the TCP port to listen on")
    workers: int = Field(1, ge=1, le=64, description="how many processes serve on the port")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least level to log")

    silent_socket_seconds: float = Field(5.0, gt=0, description="a new connection says something by then, or is closed")
    header_receive_seconds: float = Field(5.0, gt=0, description="a request's header is complete by then, or 408")
    body_receive_seconds: float = Field(10.0, gt=0, description="its body is complete by then, or 408")
    body_receive_bytes_per_second: int = Field(1000, ge=0, description="a body that comes more slowly gets 408")
    keep_alive_seconds: float = Field(5.0, gt=0, description="an idle connection is closed then")
    answer_read_seconds: float = Field(30.0, gt=0, description="a client that does not read its answer is cut off then")
    header_block_bytes: int = Field(32_768, ge=1024, description="the largest header of a request, or 431")
    header_count: int = Field(100, ge=10, description="the most header fields of a request, or 431")
    url_bytes: int = Field(8_192, ge=256, description="the longest URL, or 414")
    connections_per_address: int = Field(1024, ge=1, description="the most open connections of one peer address")
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "", description="addresses or networks whose X-Forwarded-For is believed, as 10.0.0.0/8,127.0.0.1"
    )

    intake_path: Literal["express", "asgi"] = Field(
        "express", description="express: usual webhooks skip the HTTP parser and ASGI; asgi: none does"
    )
    body_limit_bytes: int = Field(
        1_000_000, ge=1, le=LARGEST_BODY_BYTES, description="the largest webhook body; a source may have its own"
    )
    intake_most_requests: int = Field(
        2_000, ge=1, description="the most webhooks that wait for their answer at once; the next get 503"
    )
    intake_most_bytes: int = Field(
        64_000_000, ge=LARGEST_BODY_BYTES, description="the most bytes of webhook bodies in memory; then 503"
    )
    operator_requests: int = Field(
        32, ge=1, description="the most requests of the API at once, health and metrics apart; then 503"
    )
    ingest_budget_seconds: float = Field(
        1.8, gt=0, le=30, description="the longest a complete webhook waits for its answer; then 503"
    )
    flush_rows: int = Field(256, ge=1, le=10_000, description="the most events in one commit")
    flush_bytes: int = Field(4_000_000, ge=1, description="the most body bytes in one commit, beyond its first event")
    flushers: int = Field(2, ge=2, le=16, description="commits in flight at once; two, so that one may hang")
    source_refresh_seconds: float = Field(
        2.0, gt=0, le=5, description="how often each process looks for changed sources and connections"
    )
    refusals_count: int = Field(10_000, ge=1, le=1_000_000, description="the most refused requests that are kept")
    refusals_megabytes: int = Field(100, ge=1, le=100_000, description="the most that they take")
    refusals_days: int = Field(7, ge=1, le=365, description="how long they are kept")
    refusals_per_second: int = Field(
        10, ge=0, le=10_000, description="the most that are kept of one source, in each process; 0: none is kept"
    )

    postgres_acquire_seconds: float = Field(0.3, gt=0, description="the longest wait for a free connection")
    postgres_connect_seconds: float = Field(0.5, gt=0, description="the longest wait for a new connection")
    postgres_append_seconds: float = Field(1.0, gt=0, description="the longest wait for a commit")
    postgres_breaker_errors: int = Field(
        3, ge=1, description="failed commits in a row after which intake waits for none"
    )
    postgres_breaker_seconds: float = Field(0.5, gt=0, description="how long intake waits for none before one probe")
    postgres_lock_seconds: float = Field(0.5, gt=0, description="Postgres gives up waiting for a lock")
    postgres_statement_seconds: float = Field(2.0, gt=0, description="Postgres gives up a statement")
    postgres_idle_in_transaction_seconds: float = Field(5.0, gt=0, description="Postgres ends an idle transaction")
    postgres_intake_connections: int = Field(6, ge=4, le=64, description="the most connections of intake")
    postgres_operator_connections: int = Field(4, ge=1, le=64, description="the most connections of everything else")

    redis_connect_seconds: float = Field(0.1, gt=0, description="the longest wait for a new connection")
    redis_operation_seconds: float = Field(0.2, gt=0, description="the longest wait for an answer; never retried")
    redis_breaker_errors: int = Field(5, ge=1, description="failures in a row after which Redis is left alone")
    redis_breaker_seconds: float = Field(3.0, gt=0, description="how long it is left alone before one probe")
    lock_seconds: float = Field(3.0, gt=0, description="a lock that nobody settles frees itself")
    marker_seconds: float = Field(120.0, gt=0, description="how long a committed key is remembered in Redis")
    key_retention_days: int = Field(35, ge=1, description="how long a repeated delivery, or its replay, is recognised")

    engine: Literal["embedded"] = Field("embedded", description="who runs jobs: embedded, on Postgres alone")
    worker_concurrency: int = Field(100, ge=1, le=10_000, description="the most jobs that a worker runs at once")
    worker_port: int = Field(
        0, ge=0, le=65535, description="where `opsconnect worker` answers health and metrics, on its host; 0: nowhere"
    )
    worker_lease_seconds: float = Field(30.0, gt=0, description="a worker that is not heard of so long loses its jobs")
    worker_heartbeat_seconds: float = Field(10.0, gt=0, description="how often a worker says that it lives")
    worker_stop_before_seconds: float = Field(
        5.0, gt=0, description="so long before its lease ends, a worker that cannot renew it stops its jobs"
    )
    worker_rescue_seconds: float = Field(5.0, gt=0, description="how often workers look for jobs of dead ones")
    worker_poll_seconds: float = Field(1.0, gt=0, description="the longest until a worker looks for work, hint or not")
    worker_drain_seconds: float = Field(14.0, ge=0, description="how long a worker's jobs may go on after SIGTERM")
    worker_postgres_connections: int = Field(5, ge=4, le=64, description="the most connections of a worker")
    step_seconds: float = Field(30.0, gt=0, description="the longest try at a step")
    retry_first_seconds: float = Field(
        5.0, gt=0, description="the longest until a failed step's second try; three times that before each next one"
    )

    outgoing_dns_seconds: float = Field(2.0, gt=0, description="the longest look-up of another system's name")
    outgoing_tcp_seconds: float = Field(3.0, gt=0, description="the longest wait for a connection, over all addresses")
    outgoing_tls_seconds: float = Field(5.0, gt=0, description="the longest TLS handshake")
    outgoing_first_byte_seconds: float = Field(15.0, gt=0, description="the longest silence of the other side")
    provider_key_seconds: float = Field(3600.0, gt=0, description="how long a provider's fetched key is used")
    provider_key_wait_seconds: float = Field(1.0, gt=0, description="the longest that a webhook waits for a key")
    provider_key_fetch_seconds: float = Field(5.0, gt=0, description="the longest whole fetch of a key")

    replay_watch: Literal["on", "off"] = Field(
        "on", description="mark events whose bytes came to their source before under another, unsigned id"
    )

    trace_incoming: Literal["link", "parent"] = Field(
        "link", description="a sender's traceparent is linked to the request's own trace, or is its parent"
    )
    span_recorder: Literal["compact", "sdk"] = Field(
        "compact", description="what makes the spans of webhook requests: the compact recorder, or OpenTelemetry's SDK"
    )

    drain_announce_seconds: float = Field(3.0, ge=0, description="serve on, not ready, after SIGTERM")
    drain_in_flight_seconds: float = Field(4.0, ge=0, description="then finish what is in flight")
    drain_telemetry_seconds: float = Field(3.0, ge=0, description="then flush spans")

    @property
    def seal_keys(self) -> tuple[str, ...]:
        """The references to seal keys, the one that seals first."""
        return tuple(reference.strip() for reference in self.seal_key.split(",")) if self.seal_key else ()


def load(**overrides: object) -> Settings:
    """Read the settings. Raises `Invalid` with every problem, each named by its variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise Invalid(
            [
                Fault(f"OPSCONNECT_{str(problem['loc'][0]).upper()}", problem["msg"].removeprefix("Value error, "))
                for problem in error.errors()
            ]
        ) from None
