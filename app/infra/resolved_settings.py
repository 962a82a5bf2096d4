"""Every setting as it is in force, with where it came from, and without a secret."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from app.settings import Settings

MASK = "********"


@dataclass(frozen=True, slots=True)
class ResolvedSetting:
    """One setting for a person or a script."""

    variable: str
    value: str | int | float | None
    """Secrets are masked; None: not set."""
    origin: Literal["default", "environment", ".env"]


def resolved(settings: Settings, environment: Mapping[str, str] = os.environ) -> Sequence[ResolvedSetting]:
    """List every setting in the order in which the code declares them."""
    # Variables are found in any case, and an empty one counts as not set, as the settings themselves do it.
    given = {variable.upper() for variable, value in environment.items() if value}
    listed = []
    for name in type(settings).model_fields:
        variable = f"OPSCONNECT_{name.upper()}"
        origin: Literal["default", "environment", ".env"] = "default"
        if name in settings.model_fields_set:
            origin = "environment" if variable in given else ".env"
        listed.append(ResolvedSetting(variable, _harmless(getattr(settings, name)), origin))
    return listed


def _harmless(value: object) -> str | int | float | None:
    if isinstance(value, SecretStr):
        return masked(value.get_secret_value())
    return value if isinstance(value, int | float) or value is None else str(value)


def masked(secret: str) -> str:
    """Mask a secret: all of it or, where it is a URL, its password and whatever else might be one."""
    scheme, separator, rest = secret.partition("://")
    if not separator:
        return MASK
    # Up to the last @, because a password that was not quoted may hold one, or a slash or question mark.
    userinfo, at, place = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    # A query may name a password too, or a file with one.
    place, question_mark, _ = place.partition("?")
    return f"{scheme}://{user}{colon and f':{MASK}'}{at}{place}{question_mark and f'?{MASK}'}"
