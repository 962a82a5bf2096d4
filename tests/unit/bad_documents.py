"""Documents that cannot be applied, each with everything that is said about it: see the files of cases beside this."""

from pathlib import Path


def read_cases(name: str) -> list[tuple[str, list[str]]]:
    """Read a file of cases beside this one: each document, and the faults that it has."""
    _, *cases = Path(__file__).with_name(name).read_text(encoding="utf-8").split("====\n")
    read = []
    for case in cases:
        lines = case.splitlines()
        text = "\n".join(line for line in lines if not line.startswith("!! "))
        read.append((text, [line.removeprefix("!! ") for line in lines if line.startswith("!! ")]))
    return read


BAD = read_cases("bad_documents.txt")
BAD_CONNECTIONS = read_cases("bad_connections.txt")
