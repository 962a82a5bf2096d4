"""`opsconnect.example.yaml` works as it stands."""

from pathlib import Path

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.schemas.json_schema import JsonSchemas
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.use_cases.apply_configuration import ApplyConfiguration
from app.infra.configuration_file import read_file
from tests.operators import ADA


async def test_the_example_makes_a_signed_and_an_open_source(repository: Path) -> None:
    """Without a fault or a warning where its secret is set; a second time changes nothing."""
    registry = MemorySourceRegistry()
    secrets = ReferencedSecrets({"env": EnvironmentSecrets({"DEMO_SECRET": "x"})})
    apply = ApplyConfiguration(registry, secrets, JsonSchemas(), MemoryAuditLog())
    document = read_file(str(repository / "opsconnect.example.yaml"))
    plan = await apply(document, ADA)
    assert [(source.name, source.change) for source in plan.sources] == [("demo", "created"), ("salesforce", "created")]
    assert plan.warnings == ()
    assert [source.change for source in (await apply(document, ADA)).sources] == ["unchanged", "unchanged"]
    demo, salesforce = await registry.all()
    assert demo.verify is not None
    assert salesforce.verify is None
