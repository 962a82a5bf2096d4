"""`opsconnect verify`: why is this request refused? It reads standard input and needs nothing else."""

import json
import sys
from typing import Annotated

import typer


def verify(
    provider: Annotated[
        str | None, typer.Argument(metavar="PROVIDER", help="Who sent it, for objects that do not say so.")
    ] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One request a line; one line out for each, in order.")
    ] = False,
) -> None:
    """Say whether a request is genuine, and if not, why. It reads JSON: method, url, headers, body_b64, secret, now."""
    from app.core.catalog.catalogue import find
    from app.core.use_cases.verify_request import shown, verify_request

    if provider is not None and find(provider) is None:
        raise typer.BadParameter(f"{provider!a} is not in the catalogue")
    all_valid = True
    questions = iter(sys.stdin.buffer.readline, b"") if jsonl else [sys.stdin.buffer.read()]
    for text in questions:
        answer = shown(verify_request(text, provider))
        all_valid = all_valid and answer["verdict"] == "valid"
        # ASCII alone, so that no terminal and no lone surrogate can end it; flushed, because somebody may wait for it.
        print(json.dumps(answer, indent=None if jsonl else 2), flush=True)
    raise typer.Exit(0 if all_valid else 1)
