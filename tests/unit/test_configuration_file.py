"""Reading YAML and JSON: values with their lines, or what is wrong, with line and column."""

import os
from pathlib import Path

import pytest

from app.core.domain.errors import Invalid
from app.infra.configuration_file import LARGEST_BYTES, parse, read_file

ALIAS_BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


def test_values_know_the_line_of_their_key_or_item() -> None:
    document = parse(b"# comment\na:\n  - b: 1\n\n  - {b: 2}\n", "FILE")
    assert document.values == {"a": [{"b": 1}, {"b": 2}]}
    assert [document.line_of(path) for path in [(), ("a",), ("a", 0), ("a", 0, "b"), ("a", 1), ("a", 1, "c")]] == [
        2, 2, 3, 3, 5, 5,
    ]  # fmt: skip
    assert document.where(("a", 1, "c")) == "line 5, a[1].c"


def test_yaml_is_1_2_so_that_only_true_and_false_are_booleans() -> None:
    text = b"on: off\nyes: no\na: none\nb: 2020-01-01\nc: true\nd: null\ne: 0o17\nf: 1.5\ng: !!str 5\nh: ~"
    assert parse(text, "FILE").values == {
        "on": "off", "yes": "no", "a": "none", "b": "2020-01-01", "c": True, "d": None, "e": 15, "f": 1.5, "g": "5",
        "h": None,
    }  # fmt: skip


def test_json_is_read_as_it_is_indented_with_tabs_and_all() -> None:
    text = b'\xef\xbb\xbf{\n\t"a": ["\\ud83d\\ude00", "\\/", 1e2, true, null],\n\t"b": {}\n}\n'
    document = parse(text, "FILE")
    assert document.values == {"a": ["😀", "/", 100.0, True, None], "b": {}}
    assert document.line_of(("b",)) == 3


def test_anchors_may_be_used_and_used_again() -> None:
    assert parse(b"a: &x [1]\nb: &x [2]\nc: *x\n", "FILE").values == {"a": [1], "b": [2], "c": [2]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "FILE: is empty; it begins with sources:"),
        ("# only a comment\n", "FILE: is empty; it begins with sources:"),
        ("- a", "FILE, line 1, column 1: must be a mapping at the top; it begins with sources:"),
        ("a: b: c", ("FILE, line 1, column 5: is not YAML: there is one ': ' too many; a text with ': ' in it needs "
                    "quotes, and keys below each other need the same indent")),
        ("a:\n\t- b", "FILE, line 2, column 1: is not YAML: there is a tab; indent with spaces"),
        ("a: [1,", "FILE, line 1, column 7: is not YAML: the file ends within brackets; close them"),
        ("a: {b: c\nd: e}", "FILE, line 2, column 2: is not YAML: a comma or a closing bracket is missing"),
        ('a: "b\n', "FILE, line 2, column 1: is not YAML: the file ends within a text; close its quote"),
        ("a: @b", "FILE, line 1, column 4: is not YAML: a text that begins with this character needs quotes"),
        ("a: *b", "FILE, line 1, column 4: is not YAML: a text that begins with * needs quotes"),
        ("a:\n  - b\n c: d", ("FILE, line 3, column 2: is not YAML: the indent fits nothing above; keys and items of "
                              "one list need the same indent")),
        ("a: 1\n---\nb: 2", ("FILE, line 2, column 1: is not YAML: a second document begins; keep one in a file, "
                            "without '---' between")),
        ("a: 1\nb: \x00", "FILE, line 2, column 4: holds a control character; remove it"),
        ('a: "\\UFFFFFFFF"', "FILE: is not YAML, at a place that cannot be told; look for odd escapes"),
        ("a: 1\nb: 2\na: canary", 'FILE, line 3, column 1: "a" is there twice, first in line 1; remove one'),
        ("a: !!python/object:os.system x", "FILE, line 1, column 4: has a tag; only plain values have a meaning here"),
        ("a: !!set {x}", "FILE, line 1, column 4: has a tag; only plain values have a meaning here"),
        ("a: {<<: {b: c}}", "FILE, line 1, column 5: << is not in YAML 1.2; write the keys out"),
        ("5: a", "FILE, line 1, column 1: a key must be a text; quote it"),
        ("a: " + "9" * 5000, "FILE, line 1, column 4: cannot be read; put quotes around it if it is a text"),
        ("a: &a [*a]", "FILE, line 1, column 4: is nested more than 32 deep, or an alias in itself"),
        ("a: " + "[" * 5000, "FILE, line 1, column 35: is not YAML: this is nested more than 32 deep"),
        (ALIAS_BOMB, "FILE: has more than 100,000 values, counting what aliases repeat"),
        ("a: " + "b" * LARGEST_BYTES, "FILE: is larger than 1,000,000 bytes; split it, and apply the parts"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place_and_what_to_do(text: str, fault: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text.encode(), "FILE")
    assert [str(found) for found in refused.value.faults] == [fault]


def test_a_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(Invalid, match="FILE, line 2: is not UTF-8"):
        parse("a: b\nc: ü".encode("latin-1"), "FILE")


def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), (Path("a\0b"), "null")]:
        with pytest.raises(Invalid, match=f"cannot be read: .*{reason}") as refused:
            read_file(os.fspath(path))
        assert refused.value.faults[0].where == os.fspath(path)
