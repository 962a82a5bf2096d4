"""The OpenAPI description: FastAPI's own, plus the webhooks, which are answered in front of it."""

from typing import Any

from fastapi import FastAPI

from app.core.domain.lead import FIELDS

_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
    "required": ["title", "status", "code", "detail"],
}
_RECEIPT = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["accepted", "duplicate"]},
        "event_id": {"type": "string"},
        "source": {"type": "string"},
    },
    "required": ["status", "event_id", "source"],
}
_LEAD = {
    "type": "object",
    "properties": {
        name: {"type": "string", "minLength": 1, **({"format": "email"} if name == "email" else {})} for name in FIELDS
    },
    "required": list(FIELDS),
    "additionalProperties": True,
}


def _problem(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}


def _receipt(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Receipt"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_ANSWERS = {
    "202": _receipt("Kept: the event is committed."),
    "200": _receipt("A duplicate: the delivery was kept before, as this event."),
    "401": _problem("The signature is missing or does not fit."),
    "404": _problem("No source of this name."),
    "413": _problem("The body is too large."),
    "503": _problem("Not kept, or not known to be: try again after Retry-After."),
}
_WEBHOOKS: dict[str, Any] = {
    "/api/v1/webhook": {
        "post": {
            "tags": ["webhooks"],
            "summary": "Take in a lead, to the source salesforce",
            "operationId": "receive_lead",
            "requestBody": {"required": True, "content": {"application/json": {"schema": _LEAD}}},
            "responses": {**_ANSWERS, "422": _problem("Not a valid lead: 'errors' names the fields.")},
        }
    },
    "/api/v1/webhooks/{source}": {
        "post": {
            "tags": ["webhooks"],
            "summary": "Take in any webhook",
            "operationId": "receive_webhook",
            "parameters": [{"name": "source", "in": "path", "required": True, "schema": {"type": "string"}}],
            "requestBody": {"content": {"*/*": {"schema": {}}}},
            "responses": _ANSWERS,
        }
    },
}


def describe(api: FastAPI) -> None:
    """Let the API describe the webhooks too."""
    own = api.openapi

    def whole() -> dict[str, Any]:
        schema = own()
        if "/api/v1/webhook" not in schema["paths"]:
            schema["paths"] = {**_WEBHOOKS, **schema["paths"]}
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas |= {"Problem": _PROBLEM, "Receipt": _RECEIPT}
        return schema

    api.openapi = whole  # type: ignore[method-assign]
