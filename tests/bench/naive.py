"""The naive design: the same promise as OpsConnect's intake, kept in the way that the frameworks' first pages show.

A FastAPI route, a pydantic model, an ORM row in a session of the request's own and its commit, a GET and a SET of Redis
a request, FastAPI's instrumentation with its four spans, structlog over the standard library's logging. Nothing in it
is slow on purpose, or wrong: it verifies the raw bytes, answers after the commit, and a unique key decides what is a
duplicate. That Postgres and Redis are there it takes for granted.

python -m tests.bench.naive PORT
"""

import hashlib
import hmac
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import structlog
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from sqlalchemy import DateTime, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.bench.bare import serve
from tests.bench.load import PATH

SECRET = os.environ["BENCH_SECRET"].encode()
REMEMBERED_SECONDS = 3 * 24 * 3600

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
log = structlog.stdlib.get_logger("naive")

# Redis' client fails at its 100th connection instead of waiting, Postgres has 100 for everybody.
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=20, max_overflow=10
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, max_connections=1000)


class Base(DeclarativeBase):
    """What the tables have in common."""


class WebhookEvent(Base):
    """One delivery that was accepted."""

    __tablename__ = "webhook_events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    delivery_id: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Payload(BaseModel):
    """What a sender says."""

    type: str
    amount: int
    note: str


class Receipt(BaseModel):
    """What the sender is told."""

    status: Literal["accepted", "duplicate"]
    event_id: UUID


async def session_of_the_request() -> AsyncIterator[AsyncSession]:
    """Open a session for each request; who writes commits before the answer."""
    async with sessions() as session:
        yield session


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the table; at the end send the last spans."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    tracing.shutdown()
    await redis.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer when the process does."""
    return {"status": "ok"}


@app.post(PATH, status_code=202)
async def receive(
    request: Request,
    response: Response,
    session: Annotated[AsyncSession, Depends(session_of_the_request)],
    x_signature: Annotated[str, Header()],
    x_delivery_id: Annotated[str, Header()],
) -> Receipt:
    """Verify, look whether it is known, keep it, remember it, answer."""
    raw = await request.body()
    expected = "sha256=" + hmac.new(SECRET, raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), x_signature.encode()):
        raise HTTPException(401, "signature does not match")
    try:
        payload = Payload.model_validate_json(raw)
    except ValidationError as error:
        raise HTTPException(422, error.errors(include_url=False, include_input=False, include_context=False)) from None

    key = f"naive:{x_delivery_id}"
    if known := await redis.get(key):
        response.status_code = 200
        return Receipt(status="duplicate", event_id=UUID(str(known)))

    event = WebhookEvent(
        delivery_id=x_delivery_id, type=payload.type, payload=payload.model_dump(), headers=dict(request.headers)
    )
    session.add(event)
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        first = await session.scalar(select(WebhookEvent.id).where(WebhookEvent.delivery_id == x_delivery_id))
        if first is None:
            raise
        response.status_code = 200
        return Receipt(status="duplicate", event_id=first)
    await redis.set(key, str(event.id), ex=REMEMBERED_SECONDS)
    log.info("webhook.accepted", event_id=str(event.id), type=payload.type, size=len(raw))
    return Receipt(status="accepted", event_id=event.id)


tracing = TracerProvider(resource=Resource.create({"service.name": "naive"}))
tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracing)
FastAPIInstrumentor.instrument_app(app, tracer_provider=tracing, excluded_urls="health")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    serve(app, int(sys.argv[1]), lifespan="on")
