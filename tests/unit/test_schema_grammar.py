"""How a source names the schema of its payloads, and everything that is said about one that cannot be used."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.document import Document, Findings, Part
from app.core.domain.errors import Invalid
from app.core.domain.schema_grammar import read_schema
from app.infra.configuration_file import parse
from app.infra.schema_files import with_schemas

SCHEMA = {"type": "object", "required": ["größe"], "properties": {"größe": {"maximum": 2**70}}}


def read(document: Document) -> str | None:
    findings = Findings(document)
    assert isinstance(document.values, dict)
    part = Part(document.values["sources"][0]["schema"], ("sources", 0, "schema"), findings)
    text = read_schema(part, JsonSchemas().schema_fault)
    findings.raise_if_any()
    return text


def faults_of(document: Document) -> list[str]:
    with pytest.raises(Invalid) as refused:
        read(document)
    return [str(fault) for fault in refused.value.faults]


def test_a_schema_is_kept_as_json_in_the_order_in_which_it_was_written() -> None:
    text = """
    sources:
    - schema:
        type: object
        required: [größe]
        properties:
          größe: {maximum: 1180591620717411303424}
    """
    kept = read(parse(dedent(text).encode(), "FILE"))
    assert kept == '{"type":"object","required":["größe"],"properties":{"größe":{"maximum":1180591620717411303424}}}'
    assert json.loads(kept) == SCHEMA


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("", "must be a JSON Schema, as in {type: object}, or file:PATH; this is empty"),
        ("true", "must be a JSON Schema, as in {type: object}, or file:PATH; this is true"),
        ("[{type: object}]", "must be a JSON Schema, as in {type: object}, or file:PATH; this is a list"),
        ("order.json", "must be a JSON Schema, as in {type: object}, or file:PATH; this is a text"),
        ("{maximum: .inf}", "is no JSON: it holds a number without an end, or is nested too deep"),
        ("{minimum: .nan}", "is no JSON: it holds a number without an end, or is nested too deep"),
        ("{items: {maxItems: some}}", "$.items.maxItems: must be of the type integer"),
        ("{$ref: other.json}", '$ref "other.json" leads out of the schema: only #/… is followed'),
    ],
)  # fmt: skip
def test_what_is_no_schema_is_told_where_it_stands(written: str, fault: str) -> None:
    document = parse(f"sources:\n- name: a\n  schema: {written}\n".encode(), "FILE")
    assert faults_of(document) == [f"line 3, sources[0].schema: {fault}"]


def test_a_name_of_a_file_means_nothing_where_the_file_is_not() -> None:
    """To the API, say: whoever sends a document there has written every schema out."""
    (fault,) = faults_of(Document({"sources": [{"schema": "file:order.json"}]}))
    assert fault.startswith("sources[0].schema: names a file, which only `opsconnect apply` can read")


def test_a_schema_in_a_file_takes_the_place_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/order.json").write_text(json.dumps(SCHEMA, indent="\t"))
    (tmp_path / "order.yaml").write_text("type: object\nrequired: [größe]\n")
    named = parse(
        f"""
        sources:
        - {{name: a, schema: "file:schemas/order.json"}}
        - {{name: b, schema: "file:{tmp_path}/order.yaml"}}
        - {{name: c, schema: {{type: object}}}}
        - {{name: d}}
        - 5
        """.encode(),
        "FILE",
    )
    document = with_schemas(named, tmp_path)
    assert document.values == {
        "sources": [
            {"name": "a", "schema": SCHEMA},
            {"name": "b", "schema": {"type": "object", "required": ["größe"]}},
            {"name": "c", "schema": {"type": "object"}},
            {"name": "d"},
            5,
        ]
    }
    assert document.line_of(("sources", 1, "schema", "type")) == named.line_of(("sources", 1, "schema"))


def test_every_file_that_is_no_schema_is_named_with_the_place_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("type:\n\t- object")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "list.json").write_text("[]")
    named = parse(
        b"sources:\n"
        b"- schema: file:gone.json\n"
        b"- schema: file:broken.yaml\n"
        b"- schema: file:empty.json\n"
        b"- schema: file:list.json\n"
        b"- schema: 'file:'\n",
        "FILE",
    )
    with pytest.raises(Invalid) as refused:
        with_schemas(named, tmp_path)
    begins = "a JSON Schema begins with type: object, say"
    assert [str(fault).replace(str(tmp_path), "…") for fault in refused.value.faults] == [
        "line 2, sources[0].schema: …/gone.json: cannot be read: No such file or directory",
        "line 3, sources[1].schema: …/broken.yaml, line 2, column 1: is not YAML: there is a tab; indent with spaces",
        f"line 4, sources[2].schema: …/empty.json: is empty; {begins}",
        f"line 5, sources[3].schema: …/list.json, line 1, column 1: must be a mapping at the top; {begins}",
        "line 6, sources[4].schema: …: cannot be read: Is a directory",
    ]


@pytest.mark.parametrize("values", [None, [], {}, {"sources": None}, {"sources": {"schema": "file:a"}}])
def test_a_document_of_another_shape_is_left_to_be_judged_later(values: object, tmp_path: Path) -> None:
    document = Document(values)
    assert with_schemas(document, tmp_path) == document
