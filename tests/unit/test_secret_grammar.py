"""How secrets are written, each perhaps with its last moment, and which of them still count at a moment."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.document import Document, Findings, Part
from app.core.domain.errors import Invalid
from app.core.domain.secret_grammar import read_secrets
from app.core.domain.secret_use import SecretUse, usable
from app.infra.configuration_file import parse
from tests.unit.bad_documents import read_cases

SECRETS = ReferencedSecrets({"env": EnvironmentSecrets({}), "file": FileSecrets(Path("/none"))})
BAD = read_cases("bad_secrets.txt")
MOMENT = datetime(2026, 12, 31, tzinfo=UTC)


def read(document: Document) -> tuple[SecretUse, ...]:
    findings = Findings(document)
    assert isinstance(document.values, dict)
    uses = read_secrets(Part(document.values["secrets"], ("secrets",), findings), SECRETS.fault)
    findings.raise_if_any()
    return uses


def read_text(text: str) -> tuple[SecretUse, ...]:
    return read(parse(text.encode(), "FILE"))


def test_a_plain_reference_counts_for_ever() -> None:
    assert read_text('secrets: [env:NEW, "file:old"]') == (SecretUse("env:NEW"), SecretUse("file:old"))


def test_a_reference_may_be_written_out_with_or_without_an_end() -> None:
    assert read_text("secrets: [{ref: env:NEW}, {ref: env:OLD, not_after: 2026-12-31T00:00:00Z}]") == (
        SecretUse("env:NEW"),
        SecretUse("env:OLD", MOMENT),
    )


@pytest.mark.parametrize(
    "written",
    [
        "2026-12-31T00:00:00Z",
        '"2026-12-31T00:00:00Z"',
        "2026-12-31t00:00:00z",
        "2026-12-31 00:00:00Z",
        "2026-12-31 00:00:00 Z",
        "2026-12-31T00:00Z",
        "2026-12-31T00:00:00.000000Z",
        "2026-12-31T02:00:00+02:00",
        "2026-12-30T18:30:00-05:30",
    ],
)
def test_an_end_is_a_time_of_rfc_3339_and_kept_in_utc(written: str) -> None:
    (use,) = read_text(f"secrets: [{{ref: env:OLD, not_after: {written}}}]")
    assert use.not_after == MOMENT
    assert use.not_after.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("text", "faults"), BAD, ids=[faults[0] for _, faults in BAD])
def test_whatever_is_wrong_with_a_secret_is_said_where_it_stands(text: str, faults: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        read_text(text)
    assert [str(fault) for fault in refused.value.faults] == faults
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("value", [None, True, 5, 5.5, [], {}, "", "\ud800", {"ref": {}}, {5: "env:A"}, {None: 1}])
def test_a_document_that_no_yaml_made_is_judged_without_raising(value: object) -> None:
    with pytest.raises(Invalid):
        read(Document({"secrets": [value]}))
    with pytest.raises(Invalid):
        read(Document({"secrets": [{"ref": "env:A", "not_after": value}]}))


def test_secrets_whose_time_is_over_count_no_more_and_the_others_keep_their_order() -> None:
    old, new, other = (
        SecretUse("env:OLD", MOMENT),
        SecretUse("env:NEW"),
        SecretUse("env:OTHER", datetime.max.replace(tzinfo=UTC)),
    )
    assert usable((old, new, other), MOMENT) == (old, new, other)
    assert usable((old, new, other), MOMENT + timedelta(microseconds=1)) == (new, other)
    assert usable((old,), MOMENT + timedelta(days=1)) == ()
    assert usable((), MOMENT) == ()
