"""`opsconnect send`: a correctly signed sample of a provider, to try out whoever takes it; it needs no database."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import AsJson, failing_clearly

SECRET_VARIABLE = "OPSCONNECT_SEND_SECRET"  # noqa: S105 (its name)
MOST = 100_000
LONGEST_AGE = 1e9


def send(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose; 'opsconnect providers list' has them.")],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Where to.")],
    event: Annotated[str | None, typer.Option(metavar="TYPE", help="Of this type, instead of the sample's.")] = None,
    body: Annotated[Path | None, typer.Option(metavar="FILE", help="With this body, instead of the sample's.")] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help=f"What to sign with: itself, env:NAME or file:PATH [env:{SECRET_VARIABLE}]."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The private key, in PEM; made, if there is no such file.")
    ] = None,
    scheme: Annotated[str | None, typer.Option(metavar="NAME", help="By this scheme, instead of the default.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What else the scheme must know of the source.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The address that was given to the provider, if not that of --to.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, max=MOST, help="How many, each another delivery.")] = 1,
    rate: Annotated[
        float | None,
        typer.Option(metavar="R", min=0.001, max=100_000, help="So many a second; else as they are answered."),
    ] = None,
    duplicate: Annotated[bool, typer.Option("--duplicate", help="Send each a second time.")] = False,
    tamper: Annotated[
        bool, typer.Option("--tamper", help="Change each after it was signed; 4xx is then right.")
    ] = False,
    age: Annotated[
        float, typer.Option(metavar="SECONDS", min=-LONGEST_AGE, max=LONGEST_AGE, help="Signed so long ago.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Send what a provider would send, signed as it signs. The exit code says whether all were answered as is right."""
    from app.cli import sending
    from app.core.use_cases.send_sample import Pace

    with failing_clearly():
        row, by = sending.chosen(provider, scheme)
        given = public_url or to
        keys = sending.keys_for(row, by, secret or [], key, sending.settings_of(setting or []), given)
        order = sending.order_of(row, by, keys, to=to, public_url=given, event=event, body=body, tamper=tamper, age=age)
        good = sending.send_all(order, Pace(count, rate, duplicate), keys.told, as_json=as_json)
    raise typer.Exit(0 if good else 1)
