"""`opsconnect refusals`: what was refused, why, and letting it in after all."""

import json
from typing import Annotated

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, operator, say, say_json
from app.core.domain.delivery_key import printable
from app.core.domain.errors import Fault, Invalid
from app.core.domain.refusal import RefusalState
from app.core.ports.refusal_store import RefusalQuery
from app.core.use_cases.release_refusal import StillRefused

commands: typer.Typer = typer.Typer(help="Look at what was refused, and release it.", no_args_is_help=True)

RefusalIdArgument = Annotated[str, typer.Argument(metavar="ID")]

STATES = {"refused": "yellow", "released": "green"}


@commands.command("list")
def list_refusals(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    code: Annotated[str | None, typer.Option(help="Only refused with this code.")] = None,
    state: Annotated[RefusalState | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List refused requests, newest first."""
    from app.adapters.web.refusals import summary

    query = RefusalQuery(source=source, code=code, state=state, limit=limit)
    with failing_clearly():
        page = asking(lambda application: application.browse_refusals.find(query))
        shown = [summary(refusal) for refusal in page.refusals]
        if as_json:
            say_json(shown)
            return
        if not shown:
            say("No refusals." if query == RefusalQuery(limit=limit) else "No refusals match.")
        for refusal in shown:
            say(
                Text.assemble(
                    (refusal["received_at"], "dim"),
                    f"  {refusal['id']}  {refusal['source'] or '-':<16}  ",
                    (f"{refusal['state']:<8}", STATES[refusal["state"]]),
                    f"  {refusal['code']}  {refusal['detail']}".rstrip(),
                )
            )
        if page.next_before:
            say(Text("… and more: raise --limit", style="dim"))


@commands.command("show")
def show_refusal(refusal_id: RefusalIdArgument, as_json: AsJson = False) -> None:
    """Show one refused request, with credentials masked."""
    from app.adapters.web.refusals import detail

    with failing_clearly():
        refusal = asking(lambda application: application.browse_refusals.get(refusal_id))
        if refusal is None:
            raise _unknown(refusal_id)
        shown = detail(refusal)
        if as_json:
            say_json(shown)
            return
        body = shown.pop("body")
        headers = shown.pop("headers")
        for name, value in shown.items():
            if value is not None:
                say(Text.assemble((f"{name:<15}", "dim"), printable(str(value).encode())))
        say(Text("\nheaders", style="bold"))
        for name, value in headers:
            say(f"  {name}: {printable(value.encode())}")
        say(Text("\nbody", style="bold"))
        if body is not None:
            say(json.dumps(body, indent=2, ensure_ascii=True))
        else:
            say("  not kept" if refusal.body is None else f"  {len(refusal.body)} bytes, no text")


@commands.command("release")
def release_refusal(refusal_id: RefusalIdArgument, as_json: AsJson = False) -> None:
    """Verify a refused request again, with the secrets of now, and take it in."""
    from app.adapters.web.refusals import released

    with failing_clearly():
        answer = asking(lambda application: application.release_refusal(refusal_id, operator()))
        if answer is None:
            raise _unknown(refusal_id)
        if isinstance(answer, StillRefused):
            why = f"still refused ({answer.code}); nothing was changed"
            raise Invalid([Fault(refusal_id, f"{why}: {answer.detail}" if answer.detail else why)])
        if as_json:
            say_json(released(refusal_id, answer))
        else:
            before = ", which was kept before" if answer.repeated else ""
            say(f"Released as event {answer.event_id}{before}.")


def _unknown(refusal_id: str) -> Invalid:
    return Invalid([Fault(refusal_id, "no refusal has this id; 'opsconnect refusals list' lists those that are kept")])
