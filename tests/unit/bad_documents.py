"""Documents that cannot be applied, each with everything that is said about it: see bad_documents.txt."""

from pathlib import Path


def _read() -> list[tuple[str, list[str]]]:
    _, *cases = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split("====\n")
    read = []
    for case in cases:
        lines = case.splitlines()
        text = "\n".join(line for line in lines if not line.startswith("!! "))
        read.append((text, [line.removeprefix("!! ") for line in lines if line.startswith("!! ")]))
    return read


BAD = _read()
