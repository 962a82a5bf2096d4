"""Applying a document: what it makes of a good one, and everything that it says about a bad one."""

from pathlib import Path
from textwrap import dedent

import pytest

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.document import Document
from app.core.domain.errors import Invalid
from app.core.domain.source import OwnScheme, Place, Source
from app.core.use_cases.apply_configuration import Plan
from app.infra.configuration_file import parse
from tests.applying import applying
from tests.operators import ADA
from tests.unit.bad_documents import BAD

SECRETS = ReferencedSecrets({"env": EnvironmentSecrets({"DEMO": "value-canary"}), "file": FileSecrets(Path("/none"))})

GOOD = """
sources:
  - {name: demo, provider: hmac, verify: {header: X-Signature, prefix: "sha256=", encoding: hex},
     delivery_key: "header:X-Delivery-Id", secrets: ["env:DEMO"]}
  - name: salesforce
    provider: salesforce
    verify: none
    type: body:event.type
    body_limit: 2.5MB
    public_url: https://hooks.example.com/api/v1/webhooks/salesforce
"""

DEMO = Source(
    "demo",
    "hmac",
    OwnScheme.of(header="x-signature", prefix="sha256="),
    ("env:DEMO",),
    Place("header", "x-delivery-id"),
)
SALESFORCE = Source(
    "salesforce",
    "salesforce",
    None,
    type=Place("body", "event.type"),
    body_limit_bytes=2_500_000,
    public_url="https://hooks.example.com/api/v1/webhooks/salesforce",
)


async def applied(text: str, registry: MemorySourceRegistry | None = None, *, dry_run: bool = False) -> Plan:
    document = parse(dedent(text).encode(), "FILE")
    return await applying(SECRETS, MemoryConfiguration(registry))(document, ADA, dry_run=dry_run)


async def test_a_good_document_becomes_sources() -> None:
    registry = MemorySourceRegistry()
    plan = await applied(GOOD, registry)
    assert plan.applied
    assert [(source.name, source.change, source.diff) for source in plan.sources] == [
        ("demo", "created", ()),
        ("salesforce", "created", ()),
    ]
    assert plan.warnings == ()
    assert list(await registry.all()) == [DEMO, SALESFORCE]


async def test_applying_it_again_changes_nothing() -> None:
    registry = MemorySourceRegistry()
    await applied(GOOD, registry)
    assert [source.change for source in (await applied(GOOD, registry)).sources] == ["unchanged", "unchanged"]


async def test_a_changed_source_shows_old_and_new_of_each_field() -> None:
    registry = MemorySourceRegistry([DEMO, SALESFORCE])
    changed = GOOD.replace("X-Signature", "X-Sig").replace('prefix: "sha256=", ', "").replace("2.5MB", "1024")
    plan = await applied(changed.replace("type: body:event.type\n", "\n"), registry)
    assert [[str(difference) for difference in source.diff] for source in plan.sources] == [
        ["verify.header: x-signature → x-sig", "verify.prefix: sha256= → not given"],
        ["type: body:event.type → not given", "body_limit: 2500000 bytes → 1024 bytes"],
    ]


async def test_a_source_that_is_opened_shows_it_in_one_line() -> None:
    opened = "sources: [{name: demo, provider: acme, verify: none, delivery_key: header:x-delivery-id}]"
    (source,) = (await applied(opened, MemorySourceRegistry([DEMO]))).sources
    assert [str(difference) for difference in source.diff] == [
        "provider: hmac → acme",
        'verify: {header: x-signature, prefix: "sha256="} → none',
        "secrets: env:DEMO → not given",
    ]


async def test_a_dry_run_plans_the_same_and_writes_nothing() -> None:
    registry = MemorySourceRegistry([SALESFORCE])
    plan = await applied(GOOD, registry, dry_run=True)
    assert not plan.applied
    assert [source.change for source in plan.sources] == ["created", "unchanged"]
    assert list(await registry.all()) == [SALESFORCE]


async def test_a_secret_that_is_not_here_is_a_warning_and_no_refusal() -> None:
    text = 'sources:\n- {name: demo, provider: hmac, verify: {header: a}, secrets: [env:DEMO, env:OTHER, "file:gone"]}'
    plan = await applied(text)
    assert plan.applied
    assert [warning.where for warning in plan.warnings] == [
        "line 2, sources[0].secrets[1]",
        "line 2, sources[0].secrets[2]",
    ]
    assert plan.warnings[0].message == (
        "env:OTHER is not set: start this process with that environment variable (where webhooks are served, it may be)"
    )


@pytest.mark.parametrize(("text", "faults"), BAD, ids=[faults[0] for _, faults in BAD])
async def test_a_bad_document_is_refused_with_every_fault_and_nothing_is_applied(text: str, faults: list[str]) -> None:
    registry = MemorySourceRegistry()
    with pytest.raises(Invalid) as refused:
        await applied(text, registry)
    assert [str(fault) for fault in refused.value.faults] == faults
    assert "canary" not in str(refused.value)
    assert list(await registry.all()) == []


async def test_one_bad_source_keeps_the_good_ones_from_being_applied() -> None:
    registry = MemorySourceRegistry()
    with pytest.raises(Invalid):
        await applied(GOOD + "  - {name: third, provider: hmac}\n", registry)
    assert list(await registry.all()) == []


async def test_a_document_without_lines_is_refused_by_place_alone() -> None:
    document = Document({"sources": [{"name": "a", "provider": "b", "verify": None}]})
    with pytest.raises(Invalid) as refused:
        await applying(SECRETS)(document, ADA)
    assert refused.value.faults[0].where == "sources[0].verify"


async def test_what_a_person_wrote_is_quoted_without_what_a_terminal_would_obey() -> None:
    document = Document({"sour\x1b[31mces": [], "a" * 500: 1, "\ud800": 1})
    with pytest.raises(Invalid) as refused:
        await applying(SECRETS)(document, ADA)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400
