"""How sources and connections are named in a document."""

from app.core.domain.document import Part, shown
from app.core.domain.source import NAME


def read_name(owner: Part, part: Part | None, needed: str, spelling: str) -> str | None:
    """Read the name of `owner`; `needed` says what it is for, where it is missing."""
    if part is None:
        owner.fault(f"is missing: {needed}", "name")
        return None
    text = part.text(spelling)
    if text is None or NAME.fullmatch(text):
        return text
    part.fault(
        f'"{shown(text)}" cannot be a name: 1 to 63 lower-case letters, digits, hyphens and underscores, '
        "with a letter or digit at both ends"
    )
    return None
