"""What the conformance suite cannot say of payload schemas: nothing is fetched, and the bounds hold."""

import json
import socket

import pytest

from app.adapters.schemas import json_schema
from app.adapters.schemas.cost import costs
from app.adapters.schemas.json_schema import MOST_STEPS, JsonSchemas
from app.adapters.schemas.subschemas import SchemaReader


@pytest.mark.parametrize("place", ["$ref", "$schema", "unused"])
def test_no_schema_makes_anybody_call_another_machine(place: str) -> None:
    """Not even by a part that no content can meet, which only the library reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema"
        fault = JsonSchemas().schema_fault(
            json.dumps({"$defs": {"a": {"$ref": url}}} if place == "unused" else {place: url})
        )
        assert fault
        with pytest.raises(BlockingIOError):
            server.accept()


def test_only_the_latest_schemas_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "MOST_CHARACTERS_AT_HAND", 1000)
    schemas = JsonSchemas()
    texts = [json.dumps({"const": number, "title": "x" * 200}) for number in range(10)]
    for text in [*texts, texts[7], "{" * 2000, *texts[8:], texts[8]]:
        schemas.schema_fault(text)
        assert sum(map(len, schemas._kept)) == schemas._characters <= 1000
    assert list(schemas._kept) == [texts[9], texts[8]]


class Untouched(list[object]):
    """A list that is not to be gone through."""

    def __iter__(self) -> None:  # type: ignore[override]
        raise AssertionError


def test_a_list_that_is_too_long_is_known_by_its_length() -> None:
    price = costs(SchemaReader({"items": {"type": "integer"}}).root())
    assert price.of(Untouched([1] * 100), 99) > 99


@pytest.mark.parametrize(
    "schema", [{"type": "object"}, {"properties": {"a": {"pattern": "^x+$"}}}, {"required": ["a"]}]
)
def test_the_bound_by_size_is_never_below_what_going_through_finds(schema: dict[str, object]) -> None:
    """By which most contents are known to be cheap without going through them."""
    content = {"a": "x" * 1000, "b": [{}] * 100}
    price = costs(SchemaReader(schema).root())
    bound = len(json.dumps(content, separators=(",", ":"))) * price.heaviest
    assert price.of(content, MOST_STEPS) <= bound <= MOST_STEPS
