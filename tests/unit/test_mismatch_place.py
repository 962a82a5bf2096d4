"""A mismatch is found in the content that it was told of, whatever signs its keys hold."""

from json import dumps
from typing import Any

import pytest

from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.mismatch_place import Steps, place_in

INTEGERS = {"items": {"type": "integer"}}
CONTENT = {"a": [{"b.c[0]": 1, "b": {"c[0]": [5]}, "x: y": 2}, "text"], "": 3, "long" * 80: 4}


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ("$: must fit", ()),
        ("$.a: must fit", ("a",)),
        ("$.a[1]: must fit", ("a", 1)),
        ("$.a[0].b.c[0]: must fit", ("a", 0, "b.c[0]")),
        ("$.a[0].b: must fit", ("a", 0, "b")),
        ("$.a[0].x: y: must fit", ("a", 0, "x: y")),
        ("$.(key 1)[0].(key 2).(key 1)[0]: must fit", ("a", 0, "b", "c[0]", 0)),
        ("$.: must fit", ("",)),
        ("$.a[7]: must fit", ("a",)),
        ("$.gone.(key 9): must fit", ()),
        ("$.a[0].(key 9): must fit", ("a", 0)),
    ],
)
def test_the_keys_and_indices_that_lead_there_are_found(told: str, place: Steps) -> None:
    assert place_in(CONTENT, told) == (place, "must fit")


def test_what_tells_of_no_place_is_said_as_it_is() -> None:
    assert place_in(CONTENT, "the schema cannot be used here: $.type: odd") == (
        (),
        "the schema cannot be used here: $.type: odd",
    )


@pytest.mark.parametrize("content", [{"a b": {"c": [1, "x"]}}, {"": {"[0]": [1, "x"]}}, {"k: v": {"..": [1, "x"]}}])
def test_what_schemas_really_tell_leads_to_the_value(content: Any) -> None:
    deep = {"additionalProperties": {"additionalProperties": INTEGERS}}
    named = {"properties": {key: {"properties": {inner: INTEGERS}} for key in content for inner in content[key]}}
    for schema in (deep, named):
        told = JsonSchemas().fault(dumps(schema), content)
        assert told is not None
        found: Any = content
        for step in place_in(content, told)[0]:
            found = found[step]
        assert found == "x"
