"""`opsconnect.example.yaml` works as it stands."""

from pathlib import Path

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.infra.configuration_file import read_file
from tests.applying import applying
from tests.operators import ADA


async def test_the_example_makes_a_signed_and_an_open_source_and_a_connection(repository: Path) -> None:
    """Without a fault or a warning where its secret is set; a second time changes nothing."""
    kept = MemoryConfiguration()
    secrets = ReferencedSecrets({"env": EnvironmentSecrets({"DEMO_SECRET": "x"})})
    apply = applying(secrets, kept)
    document = read_file(str(repository / "opsconnect.example.yaml"))
    plan = await apply(document, ADA)
    assert [(source.name, source.change) for source in plan.sources] == [("demo", "created"), ("salesforce", "created")]
    assert [(connection.name, connection.change) for connection in plan.connections] == [("crm", "created")]
    assert plan.warnings == ()
    again = await apply(document, ADA)
    assert {one.change for one in (*again.sources, *again.connections)} == {"unchanged"}
    demo, salesforce = await kept.sources.all()
    assert demo.verify is not None
    assert salesforce.verify is None
    assert salesforce.run == "echo.echo"
