"""API keys, as an administrator gives them out and takes them back."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.adapters.web.guard import actor
from app.adapters.web.responses import ExactJSON, problem
from app.adapters.web.shown import rfc3339
from app.core.domain.api_key import ApiKey, Scope
from app.core.domain.audit import Actor
from app.core.domain.errors import Invalid
from app.core.use_cases.manage_keys import CreatedKey, ManageKeys


class KeyWish(BaseModel):
    """A key that is to be created."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=256)
    scope: Scope
    expires_at: AwareDatetime | None = None


class KeySummary(BaseModel):
    """One key, without what its holder sends."""

    id: str
    name: str
    prefix: str
    scope: Scope
    state: Literal["valid", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class KeyList(BaseModel):
    """Every key, in the order in which they were created."""

    items: list[KeySummary]


class NewKey(KeySummary):
    """A key that was created now. `key` is what its holder sends, and is shown this once."""

    key: str


def make_router(manage: ManageKeys) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

    @router.get("", summary="List API keys", response_model=KeyList)
    async def find() -> Response:
        return ExactJSON({"items": [summary(key) for key in await manage.all()]})

    @router.post("", summary="Create an API key", response_model=NewKey, status_code=201)
    async def create(wish: KeyWish, by: Annotated[Actor, Depends(actor)]) -> Response:
        try:
            created = await manage.create(wish.name, wish.scope, by, expires_at=wish.expires_at)
        except Invalid as error:
            return problem("invalid_request", faults=error.faults)
        return ExactJSON(shown_once(created), 201, {"cache-control": "no-store"})

    @router.delete("/{key_id}", summary="Revoke an API key, within 5 s everywhere", response_model=KeySummary)
    async def revoke(key_id: str, by: Annotated[Actor, Depends(actor)]) -> Response:
        revoked = await manage.revoke(key_id, by)
        return problem("unknown_key") if revoked is None else ExactJSON(summary(revoked))

    return router


def summary(key: ApiKey) -> dict[str, Any]:
    """Show a key without what its holder sends."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scope": key.scope.value,
        "state": key.state(datetime.now(UTC)),
        "created_at": rfc3339(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
        "last_used_at": _time(key.last_used_at),
    }


def shown_once(created: CreatedKey) -> dict[str, Any]:
    """Show a new key, with what its holder sends."""
    return {**summary(created.key), "key": created.text}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
