"""`docs/providers.md` says what the catalogue says, and what it tells people to write can be applied."""

import re
from pathlib import Path

import pytest

from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.cli import cli
from app.core.catalog.catalogue import find, providers
from app.core.catalog.provider import Provider
from app.core.catalog.source_grammar import GENERIC, KEYS, SCHEME_KEYS
from app.core.catalog.source_text import source_text
from app.core.use_cases.browse_providers import BrowseProviders
from app.infra.configuration_file import parse
from tests.applying import applying
from tests.architecture.providers_page import COMMAND, PAGE, page
from tests.operators import ADA


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text()


def test_the_tables_are_those_of_the_catalogue(text: str) -> None:
    assert text == page(), f"the catalogue has changed: run {COMMAND}"


def first_column(text: str, heading: str) -> list[str]:
    """What stands in code marks at the start of each row of the tables below a heading."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_every_word_of_a_source_is_explained(text: str) -> None:
    words = {word.partition(":")[0] for word in first_column(text, "A source of a provider")}
    assert words == set(KEYS) - {"name", "body_limit", "limits"}


def test_every_generic_provider_and_every_word_of_verify_is_explained(text: str) -> None:
    """Bearer and basic are both."""
    words = first_column(text, "Senders that nobody has listed")
    generic, verify = words[: len(GENERIC)], words[len(GENERIC) :]
    assert {provider.name for name in generic if (provider := find(name))} == GENERIC
    assert sorted(verify) == sorted(SCHEME_KEYS)


async def test_every_source_on_the_page_can_be_applied(text: str) -> None:
    documents = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(documents) >= 3
    references = ReferencedSecrets({"env": EnvironmentSecrets({}), "file": FileSecrets(Path("/none"))})
    for document in documents:
        await applying(references)(parse(document.encode(), "providers.md"), ADA)


@pytest.mark.parametrize("name", sorted(GENERIC))
async def test_a_generic_provider_may_be_told_how_to_verify(name: str) -> None:
    references = ReferencedSecrets({"env": EnvironmentSecrets({})})
    source = f"{{name: x, provider: {name}, verify: {{token_header: X-Key}}, secrets: ['env:X']}}"
    await applying(references)(parse(f"sources: [{source}]".encode(), "x.yaml"), ADA)


@pytest.mark.parametrize("provider", providers(), ids=lambda provider: provider.name)
async def test_every_source_that_is_printed_can_be_applied(provider: Provider) -> None:
    references = ReferencedSecrets({"env": EnvironmentSecrets({})})
    for scheme in provider.schemes:
        text = source_text(provider, scheme, BrowseProviders("https://hooks.example.com").address(provider))
        (source,) = (await applying(references)(parse(text.encode(), "x.yaml"), ADA)).sources
        assert source.change == "created"


def test_every_option_of_send_is_explained(text: str) -> None:
    from typer.main import get_command

    send = get_command(cli).commands["send"]  # type: ignore[attr-defined]
    options = {name for option in send.params for name in option.opts if name.startswith("--")}
    told = {word.split()[0] for word in first_column(text, "Trying it out")}
    assert told == options - {"--to", "--help"}
