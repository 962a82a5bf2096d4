"""What `docs/connections.md` tells people to write can be applied."""

import re
from pathlib import Path

from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.connection_grammar import KEYS
from app.infra.configuration_file import parse
from tests.applying import applying
from tests.operators import ADA


async def test_its_document_can_be_applied(repository: Path) -> None:
    text = (repository / "docs/connections.md").read_text()
    documents = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert documents
    for document in documents:
        await applying(ReferencedSecrets({"env": EnvironmentSecrets({})}))(
            parse(document.encode(), "connections.md"), ADA
        )


def test_every_word_of_a_connection_is_explained(repository: Path) -> None:
    """In the first table of the page, in the order in which they are written."""
    table = (repository / "docs/connections.md").read_text().partition("| word |")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == KEYS
