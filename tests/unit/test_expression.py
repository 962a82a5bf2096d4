"""What stands for a step's input, and what is made of it."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.errors import Invalid
from app.core.domain.expression import filled
from tests.unit.catalog.fuzzed import fuzzed

BODY = {"n": 10**30, "list": [1, None], "text": "ü", "none": None, "yes": True, "big": 1e400}
KNOWN = {
    "event": {"id": "e1", "body": BODY},
    "steps": {"first": {"output": {"a-b": 1}}},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${event.body.n}", 10**30),
        ("${event.body.list}", [1, None]),
        ("${event.body.none}", None),
        ("${event.body.missing.deep}", None),
        ("${event.body.yes}", True),
        ("${event.body}", BODY),
        ('${steps.first.output."a-b"}', 1),
        ("${event.body.{t: text, n: n}}", {"t": "ü", "n": 10**30}),
        ("${ event.id }", "e1"),
    ],
)
def test_a_text_that_is_one_expression_keeps_the_type_of_what_it_finds(template: str, value: Any) -> None:
    assert filled(template, KNOWN) == value


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("/customers/${event.id}/${event.body.text}", "/customers/e1/ü"),
        ("${event.id}${event.id}", "e1e1"),
        ("n=${event.body.n}", f"n={10**30}"),
        ("l=${event.body.list}", "l=[1,null]"),
        ("y=${event.body.yes}", "y=true"),
        ("none=${event.body.missing}.", "none=."),
        ("$ {event.id} {event.id} $event.id 100$", "$ {event.id} {event.id} $event.id 100$"),
        ("${event.id", "${event.id"),
        ("", ""),
    ],
)
def test_an_expression_within_a_text_is_written_into_it(template: str, value: str) -> None:
    assert filled(template, KNOWN) == value


def test_what_is_nested_is_filled_in_place_by_place() -> None:
    template = {"a": [{"b": "${event.id}"}, 1, None, True, 1.5], "c": ("x${event.id}",), "${event.id}": "name"}
    assert filled(template, KNOWN) == {"a": [{"b": "e1"}, 1, None, True, 1.5], "c": ["xe1"], "${event.id}": "name"}


def test_what_is_found_is_not_filled_in_again() -> None:
    """Else who sends an event could ask for whatever a step sees."""
    assert filled("${event.x}", {"event": {"x": "${steps}"}, "steps": "secret"}) == "${steps}"
    assert filled("a ${event.x}", {"event": {"x": "${steps}"}, "steps": "secret"}) == "a ${steps}"


@pytest.mark.parametrize("expression", ["", "event.", "nosuch(event)", "abs(event.id)", "event.body.list[::0]"])
def test_what_cannot_be_evaluated_is_named_with_its_place(expression: str) -> None:
    with pytest.raises(Invalid) as caught:
        filled({"json": [0, f"${{{expression}}}"]}, KNOWN)
    assert caught.value.faults[0].where == "with.json[1]"
    assert "cannot be evaluated" in caught.value.faults[0].message


def test_what_json_cannot_say_is_not_written_into_a_text() -> None:
    with pytest.raises(Invalid, match="cannot be written into a text"):
        filled("f=${event.body.big}", KNOWN)


@given(st.text(st.sampled_from("${}.'`[]|&@ae:\\\"\n"), max_size=25))
@fuzzed(usually=300)
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(Invalid):
        filled(text, KNOWN)
