"""What everything that judges payloads by schemas keeps to."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.body import DEEPEST_JSON, Readable, read_json
from app.core.ports.payload_schemas import PayloadSchemas

ORDER = json.dumps(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["id", "customer"],
        "properties": {
            "id": {"type": "integer", "maximum": 2**80},
            "customer": {
                "type": "object",
                "required": ["email"],
                "properties": {"email": {"type": "string", "format": "email"}, "vip": {"type": ["boolean", "null"]}},
            },
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"price": {"type": "number", "minimum": 0}, "unit": {"enum": ["kg", "m"]}},
                },
            },
            "total": {"properties": {"sum": {}}, "additionalProperties": False},
            "tax": {"allOf": [{"properties": {"rate": {}}}], "unevaluatedProperties": False},
            "labels": {"additionalProperties": {"type": "string"}, "propertyNames": {"maxLength": 12}},
        },
    }
)
FITS = {"id": 2**70, "customer": {"email": "a@example.com", "vip": None}, "lines": [{"price": 0.5, "unit": "kg"}]}
LONGEST_LINE = 400
LONGEST_SECONDS = 5.0
"""Of this thread alone. It takes a tenth of that; without a bound it would be minutes, or for ever."""
TOO_LARGE = {
    "$: cannot be judged: by this schema it takes more than 1,000,000 steps",
    "$: does not fit, and is too large to say where",
}


@pytest.fixture(params=[JsonSchemas], ids=["JSON Schema"])
def schemas(request: pytest.FixtureRequest) -> PayloadSchemas:
    make: Callable[[], PayloadSchemas] = request.param
    return make()


def changed(*path: str | int, to: Any) -> Any:
    """`FITS`, with something else at one place."""
    content = place = json.loads(json.dumps(FITS))
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return content


def test_what_fits_has_no_fault(schemas: PayloadSchemas) -> None:
    assert schemas.schema_fault(ORDER) is None
    assert schemas.fault(ORDER, FITS) is None
    assert schemas.fault("{}", None) is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "$: must be of the type object"),
        ({"id": 1}, '$: must have "customer"'),
        (changed("id", to="canary"), "$.id: must be of the type integer"),
        (changed("customer", "email", to="canary"), '$.customer.email: must be of the format "email"'),
        (changed("customer", "vip", to="canary"), "$.customer.vip: must be of the type boolean or null"),
        (changed("lines", to=[{}, {"price": -1.25}]), "$.lines[1].price: must be at least 0"),
        (changed("lines", 0, "unit", to="canary"), '$.lines[0].unit: must be one of "kg" or "m"'),
        (changed("total", to={"sum": 1, "canary": 1}), "$.total.(key 2): must not be there"),
        (changed("tax", to={"canary": 1, "rate": 1}), "$.tax.(key 1): must not be there"),
        (changed("labels", to={"a": "b", "c": "d", "canary": 1}), "$.labels.(key 3): must be of the type string"),
        (changed("labels", to={"canary-canary": ""}), "$.labels: has a key that must not be there"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_by_its_path_and_what_is_expected_there(
    schemas: PayloadSchemas, content: object, fault: str
) -> None:
    """And never by the content itself: neither its values nor the keys that the schema does not name."""
    assert schemas.fault(ORDER, content) == fault


def test_integers_are_judged_exactly_at_any_size(schemas: PayloadSchemas) -> None:
    assert schemas.fault(ORDER, changed("id", to=2**80)) is None
    assert schemas.fault(ORDER, changed("id", to=2**80 + 1)) == f"$.id: must be at most {2**80}"
    for keyword, value, other in [
        ("const", 2**70, 2**70 + 1),
        ("enum", [-(2**65)], -(2**65) - 1),
        ("multipleOf", 7, 7**30 + 1),
        ("exclusiveMinimum", 2**64, 2**64),
    ]:
        schema = json.dumps({keyword: value})
        fits = {"const": 2**70, "enum": -(2**65), "multipleOf": 7**30, "exclusiveMinimum": 2**64 + 1}[keyword]
        assert schemas.fault(schema, fits) is None
        assert schemas.fault(schema, other) is not None
    largest = int("9" * 4300)  # more digits are not read at all
    assert schemas.fault('{"type": "integer", "minimum": 5}', largest) is None


def test_decimal_fractions_are_no_rounding_errors(schemas: PayloadSchemas) -> None:
    for amount in (0.07, 1070468.14, 19.99):
        assert schemas.fault('{"multipleOf": 0.01}', amount) is None
    assert schemas.fault('{"multipleOf": 0.01}', 19.995) is not None


def test_a_content_as_deep_as_any_that_is_read_is_judged_to_its_bottom(schemas: PayloadSchemas) -> None:
    schema = '{"type": ["array", "integer"], "items": {"$ref": "#"}}'
    body = b"[" * DEEPEST_JSON + b"%s" + b"]" * DEEPEST_JSON
    good, bad = read_json(body % b"1"), read_json(body % b'"x"')
    assert isinstance(good, Readable)
    assert isinstance(bad, Readable)
    assert schemas.fault(schema, good.value) is None
    assert schemas.fault(schema, bad.value) == "$" + "[0]" * 64 + ": must be of the type array or integer"


def test_half_of_a_character_is_judged_as_a_text_like_others(schemas: PayloadSchemas) -> None:
    """JSON may hold one as an escape; what judges may not."""
    assert schemas.fault('{"type": "string", "maxLength": 3}', "a\ud800b") is None
    assert schemas.fault('{"additionalProperties": {"maxLength": 2}}', {"\udfff": "a\ud800b"}) == (
        "$.(key 1): must have at most 2 characters"
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"": {"a": ["x"]}}, "$.(key 1).(key 1)[0]"),
        ({"b": {"": ["x"]}}, "$.(key 1).(key 1)[0]"),
        ({"b": {"": {"": {"c": "x"}}}}, "$.(key 1).(key 1).(key 1).(key 1)"),
        ({"": {"a": {"c": "x"}}, "a": 1}, "$.(key 2)"),
    ],
)
def test_an_empty_key_on_the_way_to_a_mismatch_harms_nothing(
    schemas: PayloadSchemas, content: object, place: str
) -> None:
    """Which the library leaves out of its paths; the worst is then a place that is not quite the right one."""
    schema = '{"$defs": {"n": {"type": ["object", "array", "integer"], "additionalProperties": {"$ref": "#/$defs/n"},'
    schema += ' "items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}'
    assert schemas.fault(schema, content) == f"{place}: must be of the type array or integer or object"


def test_of_several_alternatives_the_one_that_was_meant_is_judged(schemas: PayloadSchemas) -> None:
    schema = json.dumps(
        {
            "oneOf": [
                {"properties": {"type": {"const": name}, "data": {"properties": {"n": {"type": kind}}}}}
                for name, kind in [("order.created", "integer"), ("order.paid", "string"), ("order.sent", "null")]
            ]
        }
    )
    assert schemas.fault(schema, {"type": "order.paid", "data": {"n": "x"}}) is None
    assert schemas.fault(schema, {"type": "order.paid", "data": {"n": 1}}) == "$.data.n: must be of the type string"
    nothing_known = schemas.fault(schema, {"type": "canary", "data": {}})
    assert nothing_known == "$: must fit one of the alternatives, and fits none"
    assert schemas.fault('{"oneOf": [{}, {}]}', 1) == "$: must fit only one of the alternatives, and fits several"
    nullable = '{"anyOf": [{"type": "null"}, {"type": "object", "required": ["id"]}]}'
    assert schemas.fault(nullable, {}) == '$: must have "id"'


@pytest.mark.parametrize(
    "draft",
    [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-06/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    ],
)
def test_the_draft_is_what_the_schema_says(schemas: PayloadSchemas, draft: str) -> None:
    """`exclusiveMaximum` was a boolean in draft 4; `format` is asserted in all of them."""
    exclusive = {"maximum": 5, "exclusiveMaximum": True} if "04" in draft else {"exclusiveMaximum": 5}
    schema = json.dumps({"$schema": draft, **exclusive})
    assert schemas.schema_fault(schema) is None
    assert schemas.fault(schema, 4) is None
    assert schemas.fault(schema, 5)
    when = json.dumps({"$schema": draft, "format": "date-time"})
    assert schemas.fault(when, "2026-12-31T00:00:00Z") is None
    assert schemas.fault(when, "soon") == '$: must be of the format "date-time"'


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ("{", "is not JSON that can be read"),
        ("[" * 100_000, "is not JSON that can be read"),
        ("[]", "must be a mapping, as in {type: object}"),
        ("true", "must be a mapping, as in {type: object}"),
        ('{"type": "strin"}', '$.type: must be one of "array" or "boolean" or "integer" or "null" or "number" or "…'),
        ('{"properties": 5}', "$.properties: must be of the type object"),
        ('{"properties": {"a": {"minLength": -1}}}', "$.properties.a.minLength: must be at least 0"),
        ('{"required": "id"}', "$.required: must be of the type array"),
        ('{"$schema": "https://canary.example/schema"}', "$.$schema: must name draft 4, 6, 7, 2019-09 or 2020-12"),
        ('{"$schema": 5}', "$.$schema: must name draft 4, 6, 7, 2019-09 or 2020-12"),
        ('{"$ref": "#/$defs/gone"}', '$ref "#/$defs/gone" leads to nothing'),
        ('{"$ref": "other.json"}', '$ref "other.json" leads out of the schema: only #/… is followed'),
        ('{"$ref": "http://127.0.0.1:1/#/a"}', '$ref "http://127.0.0.1:1/#/a" leads out of the schema'),
        ('{"$ref": "file:///etc/passwd"}', '$ref "file:///etc/passwd" leads out of the schema'),
        ('{"$ref": "https://json-schema.org/draft/2020-12/schema#"}', "leads out of the schema"),
        ('{"$ref": {}}', "leads out of the schema"),
        ('{"$dynamicRef": "#a"}', "$dynamicRef is not taken"),
        ('{"properties": {"a": {"$id": "b", "$ref": "#/$defs/c"}}, "$defs": {"c": {}}}', "an $id of its own"),
        ('{"pattern": "("}', "$.pattern: is no pattern, or one that could take long"),
        ('{"pattern": "^(?=a)"}', "$.pattern: is no pattern, or one that could take long"),
        ('{"patternProperties": {"(a{1000}){1000}": {}}}', "is no pattern, or one that could take long"),
        ('{"maximum": "\\ud800"}', "is not JSON that can be read"),
        ('{"title": "' + "x" * 100_000 + '"}', "is longer than 100,000 characters"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_schema_that_can_be_used_is_told(schemas: PayloadSchemas, schema: str, fault: str) -> None:
    """When it is applied, and in place of a verdict if it was kept all the same: no content is refused for it."""
    told = schemas.schema_fault(schema)
    assert told
    assert fault in told
    assert told.isprintable()
    assert len(told) <= LONGEST_LINE
    assert schemas.fault(schema, {}) == f"the schema cannot be used here: {told}"


def test_references_within_a_schema_are_followed(schemas: PayloadSchemas) -> None:
    schema = json.dumps(
        {
            "$id": "https://example.com/tree",
            "$ref": "#/$defs/a~1b%25/allOf/0",
            "$defs": {
                "a/b%": {"allOf": [{"properties": {"child": {"$ref": "https://example.com/tree#"}, "n": False}}]}
            },
        }
    )
    assert schemas.schema_fault(schema) is None
    assert schemas.fault(schema, {"child": {"child": {}}}) is None
    assert schemas.fault(schema, {"child": {"child": {"n": 1}}}) == (
        "$.child.child.n: holds what the schema does not allow"
    )


def doubling(keyword: str, levels: int) -> dict[str, Any]:
    """A schema of few lines that looks at one value 2^levels times."""
    parts = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": parts | {f"d{levels}": {"type": "integer"}}}


def around(levels: int) -> dict[str, Any]:
    """A schema around a schema, each of which wants to know what the ones within have looked at."""
    schema: dict[str, Any] = {"properties": {"a": {"type": "integer"}}}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


ENDLESS = {
    "allOf twice": doubling("allOf", 60),
    "anyOf twice": doubling("anyOf", 60),
    "a circle": {"$ref": "#"},
    "a circle of two": {"$ref": "#/not", "not": {"anyOf": [{"$ref": "#/if"}]}, "if": {"not": {"$ref": "#/not"}}},
    "a circle beside": {"dependentSchemas": {"a": {"if": {"$ref": "#"}}}},
    "two ways down the same key": {
        "anyOf": [{"type": "integer"}, *[{"properties": {"a": {"$ref": "#"}}, "required": [key]} for key in ("a", "b")]]
    },
    "two ways down any key": {
        "allOf": [{"additionalProperties": {"$ref": "#"}}, {"patternProperties": {"^a": {"$ref": "#"}}}]
    },
    "two ways into a list": {"contains": {"$ref": "#"}, "items": {"$ref": "#"}},
    "two ways into a tuple": {"contains": {"$ref": "#"}, "prefixItems": [{"$ref": "#"}]},
    "what is not looked at, again and again": around(25),
}


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS)
def test_a_schema_that_could_take_for_ever_is_refused_at_once(schemas: PayloadSchemas, schema: dict[str, Any]) -> None:
    started = time.thread_time()
    fault = schemas.schema_fault(json.dumps(schema))
    assert fault
    assert "one value ($" in fault
    assert time.thread_time() - started < LONGEST_SECONDS


RECURSIVE = {
    "a tree": {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"type": "integer"}}},
    "a filter": {
        "oneOf": [
            {"required": ["and"], "properties": {"and": {"items": {"$ref": "#"}}}},
            {"required": ["or"], "properties": {"or": {"items": {"$ref": "#"}}}},
            {"required": ["not"], "properties": {"not": {"$ref": "#"}}},
            {"required": ["field"], "properties": {"field": {"type": "string"}}},
        ]
    },
    "by name or else": {"properties": {"and": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
    "the first or others": {"prefixItems": [{"$ref": "#"}], "items": {"$ref": "#"}},
    "anything": {"additionalProperties": {"$ref": "#"}, "items": {"$ref": "#"}, "uniqueItems": True},
}


@pytest.mark.parametrize("schema", RECURSIVE.values(), ids=RECURSIVE)
def test_a_schema_that_goes_down_one_way_at_a_time_may_go_down_for_ever(
    schemas: PayloadSchemas, schema: dict[str, Any]
) -> None:
    text = json.dumps(schema)
    assert schemas.schema_fault(text) is None
    deep: Any = {"field": "a"}
    for level in range(DEEPEST_JSON // 2):
        deep = {"not": deep} if level % 3 else {"and": [deep]}
    assert schemas.fault(text, deep) is None


HOSTILE = "[ab]*a[ab]{300}c"
LARGE: dict[str, tuple[dict[str, Any], Any]] = {
    "many faults in alternatives": ({"anyOf": [{"items": {"type": "string"}}, {"type": "object"}]}, [1] * 150_000),
    "large integers, each unlike the other": ({"uniqueItems": True}, [2**70 + n for n in range(5_000)]),
    "large integers, divided": ({"items": {"multipleOf": 0.01}}, [10**300 + n for n in range(3_000)]),
    "a text made for a pattern": ({"items": {"pattern": HOSTILE}}, ["ab" * 500_000]),
    "a key made for a pattern": ({"patternProperties": {HOSTILE: {}}}, {"ab" * 500_000: 1}),
    "a key made for a pattern of names": ({"propertyNames": {"pattern": HOSTILE}}, {"ab" * 500_000: 1}),
    "many keys": ({"patternProperties": {f"a.*{n}": {} for n in range(1000)}}, {f"a{n}": 1 for n in range(50_000)}),
    "more than can be looked at": ({"items": {"items": {}}}, [[0] * 1000] * 1100),
    "more in one list": ({"items": {}}, [0] * 2_000_000),
}


@pytest.mark.parametrize(("schema", "content"), LARGE.values(), ids=LARGE)
def test_no_content_makes_judging_slow(schemas: PayloadSchemas, schema: dict[str, Any], content: Any) -> None:
    text = json.dumps(schema)
    assert schemas.schema_fault(text) is None
    started = time.thread_time()
    fault = schemas.fault(text, content)
    assert time.thread_time() - started < LONGEST_SECONDS
    assert fault in TOO_LARGE


def test_many_threads_may_ask_at_once(schemas: PayloadSchemas) -> None:
    texts = [json.dumps({"const": number}) for number in range(300)]
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda number: schemas.fault(texts[number % 300], number % 600), range(3000)))
    assert told == [None if n % 600 < 300 else f"$: must be {n % 300}" for n in range(3000)]


TEXTS = st.text(st.characters(codec=None), max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.sampled_from("ab"), inner, max_size=4),
    max_leaves=12,
)
KEYWORDS = [
    "$ref", "$schema", "$id", "allOf", "anyOf", "not", "if", "properties", "patternProperties", "additionalProperties",
    "items", "prefixItems", "contains", "required", "enum", "const", "type", "minimum", "multipleOf", "uniqueItems",
    "pattern", "format", "propertyNames", "dependentSchemas", "dependentRequired", "unevaluatedProperties", "$defs",
]  # fmt: skip
WORDS = st.sampled_from(["#", "#/$defs/a", "string", "object", "^a", "email", "a", "b"])
SCHEMA = st.recursive(
    JSON | WORDS | st.lists(WORDS, max_size=2),
    lambda inner: (
        st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=16,
)


@settings(deadline=None)
@given(schema=SCHEMA, content=JSON)
def test_no_schema_and_no_content_make_it_raise(schema: object, content: object) -> None:
    schemas = JsonSchemas()
    text = json.dumps(schema)
    for told in (schemas.schema_fault(text), schemas.fault(text, content)):
        assert told is None or (told and told.isprintable() and len(told) <= LONGEST_LINE)
