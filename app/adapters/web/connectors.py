"""The registry of connectors, as people and forms look at it."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from app.adapters.web.responses import ExactJSON
from app.core.domain.connector import Described, Effect
from app.core.use_cases.browse_connectors import BrowseConnectors


class ActionDetail(BaseModel):
    """One thing that it can do; `effect`: what doing it twice means. `input_schema` is a JSON Schema."""

    name: str
    title: str
    effect: Effect
    input_schema: dict[str, Any]


class ConnectorDetail(BaseModel):
    """One kind of outside system. The first of `actions` is what is meant where nobody names one.

    `settings_schema` is a JSON Schema of a connection's settings; `secrets`: their names, and what each is.
    """

    name: str
    title: str
    needs_settings: bool
    settings_schema: dict[str, Any]
    secrets: dict[str, str]
    actions: list[ActionDetail]


class ConnectorList(BaseModel):
    """All of them, by name."""

    items: list[ConnectorDetail]


def make_router(browse: BrowseConnectors) -> APIRouter:
    """Make the route."""
    router = APIRouter(prefix="/api/v1/connectors", tags=["connectors"])

    @router.get("", summary="List what can be called, with a JSON Schema for each action", response_model=ConnectorList)
    async def find() -> Response:
        return ExactJSON({"items": [detail(described) for described in browse.all()]})

    return router


def detail(described: Described) -> dict[str, Any]:
    """Show a connector whole."""
    return {
        "name": described.name,
        "title": described.title,
        "needs_settings": described.needs_settings,
        "settings_schema": dict(described.settings_schema),
        "secrets": dict(described.secrets),
        "actions": [
            {
                "name": action.name,
                "title": action.title,
                "effect": action.effect.value,
                "input_schema": dict(action.input_schema),
            }
            for action in described.actions
        ],
    }
