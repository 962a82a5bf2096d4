"""The catalogue of providers, as operators look at it."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from app.adapters.web.responses import ExactJSON, problem
from app.core.catalog.described import needs_of, proof_of, ways_of
from app.core.catalog.provider import Answer, Coverage, Provider, Scheme
from app.core.catalog.source_text import source_text
from app.core.catalog.sources import signs_url
from app.core.use_cases.browse_providers import BrowseProviders


class ProviderSummary(BaseModel):
    """One provider in a list. `scheme` and what follows is of its default scheme."""

    name: str
    title: str
    page: str
    scheme: str
    coverage: Coverage
    needs: str
    answer_seconds: float | None


class ProviderList(BaseModel):
    """All of them, by name."""

    items: list[ProviderSummary]


class SchemeDetail(BaseModel):
    """One way in which it proves its requests; `freshness_seconds`: how old they may be, null where nobody can tell."""

    name: str
    proof: str
    coverage: Coverage
    freshness_seconds: float | None
    future_allowed: bool
    needs: str
    settings: list[str]
    signs_url: bool
    source: str


class DeliveryDetail(BaseModel):
    """Where a request says what it is: `header:NAME`, `body:PATH`, or such places in braces with text between them."""

    id: list[str]
    type: list[str]
    distinct_by: list[str]
    whole_body: bool
    items: str | None


class AnswerDetail(BaseModel):
    """An answer that the sender insists on; `body` null: any will do."""

    status: int
    body: str | None
    content_type: str | None


class ProviderDetail(ProviderSummary):
    """One provider whole. `url`: what to give it; `source` of a scheme: a document for `opsconnect apply`."""

    setup: str
    url: str
    schemes: list[SchemeDetail]
    delivery: DeliveryDetail
    methods: list[str]
    good: AnswerDetail | None
    bad: AnswerDetail
    retries: str | None
    disables: str | None
    settings: dict[str, str]


def make_router(browse: BrowseProviders) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/api/v1/providers", tags=["providers"])

    @router.get("", summary="List who can send, by name", response_model=ProviderList)
    async def find() -> Response:
        return ExactJSON({"items": [summary(provider) for provider in browse.all()]})

    @router.get("/{name}", summary="Show one provider, and what to paste where", response_model=ProviderDetail)
    async def show(name: str) -> Response:
        provider = browse.get(name)
        return (
            problem("unknown_provider") if provider is None else ExactJSON(detail(provider, browse.address(provider)))
        )

    return router


def summary(provider: Provider) -> dict[str, Any]:
    """Show a provider in a list."""
    scheme = provider.schemes[0]
    return {
        "name": provider.name,
        "title": provider.title,
        "page": provider.page,
        "scheme": scheme.name,
        "coverage": scheme.coverage,
        "needs": needs_of(scheme),
        "answer_seconds": provider.answer_seconds,
    }


def detail(provider: Provider, address: str) -> dict[str, Any]:
    """Show a provider whole."""
    delivery = provider.delivery
    return {
        **summary(provider),
        "setup": provider.setup,
        "url": address,
        "schemes": [_scheme(provider, scheme, address) for scheme in provider.schemes],
        "delivery": {
            "id": ways_of(delivery.id),
            "type": ways_of(delivery.type),
            "distinct_by": ways_of(delivery.distinct_by),
            "whole_body": delivery.whole_body,
            "items": delivery.items or None,
        },
        "methods": list(provider.methods),
        "good": provider.good and _answer(provider.good),
        "bad": _answer(provider.bad),
        "retries": provider.retries or None,
        "disables": provider.disables or None,
        "settings": dict(provider.settings),
    }


def _scheme(provider: Provider, scheme: Scheme, address: str) -> dict[str, Any]:
    return {
        "name": scheme.name,
        "proof": proof_of(scheme).replace("`", ""),
        "coverage": scheme.coverage,
        "freshness_seconds": scheme.freshness.tolerance_seconds,
        "future_allowed": scheme.freshness.past_only,
        "needs": needs_of(scheme),
        "settings": list(scheme.settings),
        "signs_url": signs_url(scheme),
        "source": source_text(provider, scheme, address),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "body": answer.body, "content_type": answer.content_type or None}
