"""The tables of `docs/providers.md`, made from the catalogue. Run as a module, this writes them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from app.core.catalog.catalogue import providers
from app.core.catalog.described import bad_of, freshness_of, good_of, needs_of, proof_of, ways_of
from app.core.catalog.provider import Provider, Text

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
COMMAND = "python -m tests.architecture.providers_page"
MARK = f"<!-- From here on the catalogue writes: {COMMAND} -->\n"


def page() -> str:
    """The page as it should be: what people wrote, and the tables of today's catalogue."""
    written, mark, _ = PAGE.read_text().partition(MARK)
    return written + mark + "\n".join(["", *_proofs(), "", *_deliveries(), "", *_setups(), ""])


def _proofs() -> Iterator[str]:
    yield "### How each proves its requests"
    yield ""
    yield "The strongest scheme of each comes first, and is the default. Where keys are fetched, it needs nothing."
    yield ""
    yield "| provider | name | proof | covers | fresh for | needs |"
    yield "|---|---|---|---|---|---|"
    for provider in providers():
        for number, scheme in enumerate(provider.schemes):
            who = f"[{provider.title}]({provider.page})" if number == 0 else ""
            name = f"`{provider.name}`" if number == 0 else f"`scheme: {scheme.name}`"
            covers = scheme.coverage if scheme.coverage == "full" else f"**{scheme.coverage}**"
            yield _row(who, name, proof_of(scheme), covers, freshness_of(scheme), needs_of(scheme))


def _deliveries() -> Iterator[str]:
    yield "### What each says of itself, and wants to hear"
    yield ""
    yield "Of several ways the first that gives something counts. Without an id the body's digest stands in. *Whole"
    yield "body*: the id is that of a thing, or of the first of many; only the whole body tells two deliveries apart."
    yield ""
    yield "| name | id | type | taken | refused | waits | tries again | gives up |"
    yield "|---|---|---|---|---|---|---|---|"
    for provider in providers():
        waits = f"{provider.answer_seconds:g} s" if provider.answer_seconds else ""
        answers = (good_of(provider), bad_of(provider), waits, provider.retries, provider.disables)
        yield _row(f"`{provider.name}`", _id(provider), _ways(provider.delivery.type), *answers)


def _setups() -> Iterator[str]:
    yield "### What to paste where"
    yield ""
    for provider in providers():
        yield f"- `{provider.name}`: {provider.setup}"
        others = [method for method in provider.methods if method != "POST"]
        if others:
            yield f"  It also comes with {', '.join(others)}."
        for name, meaning in provider.settings.items():
            yield f"  - `settings: {{{name}: …}}`: {meaning}"


def _id(provider: Provider) -> str:
    delivery = provider.delivery
    ways = _ways(delivery.id)
    if delivery.whole_body:
        return f"{ways}, *whole body*" if ways else "*whole body*"
    return f"{ways}, apart by {_ways(delivery.distinct_by)}" if delivery.distinct_by else ways


def _ways(ways: Sequence[Text]) -> str:
    return " or ".join(f"`{way}`" for way in ways_of(ways))


def _row(*cells: str) -> str:
    return "|" + "".join(f" {cell} |".replace("  ", " ") for cell in (cell.replace("|", "\\|") for cell in cells))


if __name__ == "__main__":
    PAGE.write_text(page())
