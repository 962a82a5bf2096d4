"""Judging by schemas, loaded when a source has one: most have none, and a start waits for each library."""

from functools import cached_property

from app.core.ports.payload_schemas import PayloadSchemas


class SchemasOnDemand(PayloadSchemas):
    """Schemas that are compiled where and when one is first needed."""

    @cached_property
    def _schemas(self) -> PayloadSchemas:
        from app.adapters.schemas.json_schema import JsonSchemas

        return JsonSchemas()

    def fault(self, schema: str, content: object) -> str | None:
        """Pass on."""
        return self._schemas.fault(schema, content)

    def schema_fault(self, schema: str) -> str | None:
        """Pass on."""
        return self._schemas.schema_fault(schema)
