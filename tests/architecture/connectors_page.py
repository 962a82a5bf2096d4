"""The tables of `docs/connectors.md`, as connectors describe themselves. Run as a module, this writes them."""

from collections.abc import Iterator
from pathlib import Path

from app.adapters.memory.outgoing import MemoryOutgoing
from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.connector import Described
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.infra.connectors import find_connectors

PAGE = Path(__file__).parents[2] / "docs" / "connectors.md"
COMMAND = "python -m tests.architecture.connectors_page"
MARK = f"<!-- From here on the connectors write: {COMMAND} -->\n"


def built_in() -> list[Described]:
    """What the connectors of this package say."""

    async def nobody(_: OutgoingRequest) -> OutgoingAnswer:
        raise AssertionError("nothing is sent")

    found = find_connectors(MemoryOutgoing(nobody, {}), JsonSchemas()).values()
    return [connector.described for connector in found if type(connector).__module__.startswith("app.")]


def page() -> str:
    """The page as it should be: what people wrote, and the tables of today's connectors."""
    written, mark, _ = PAGE.read_text().partition(MARK)
    return written + mark + "\n".join(["", *_actions(), "", *_settings(), ""])


def _actions() -> Iterator[str]:
    yield "### Actions"
    yield ""
    yield "The first of each is meant where a flow names none."
    yield ""
    yield "| connector | action | what it does | effect |"
    yield "|---|---|---|---|"
    for described in built_in():
        for number, action in enumerate(described.actions):
            name = f"`{described.name}`" if number == 0 else ""
            yield _row(name, f"`{action.name}`", action.title, action.effect)


def _settings() -> Iterator[str]:
    yield "### Settings and secrets"
    yield ""
    yield "| connector | setting | what it is |"
    yield "|---|---|---|"
    for described in built_in():
        required = described.settings_schema.get("required", ())
        for name, shape in described.settings_schema.get("properties", {}).items():
            needed = ", needed" if name in required else ""
            yield _row(f"`{described.name}`", f"`{name}`{needed}", shape.get("description", ""))
        for name, meaning in described.secrets.items():
            yield _row(f"`{described.name}`", f"secret `{name}`", meaning)


def _row(*cells: str) -> str:
    return "|" + "".join(f" {cell} |".replace("  ", " ") for cell in (cell.replace("|", "\\|") for cell in cells))


if __name__ == "__main__":
    PAGE.write_text(page())
