"""What differs between two versions of a source, in the words in which a person writes one."""

import json
from collections.abc import Callable
from hashlib import sha256

from app.core.domain.difference import Difference, compared
from app.core.domain.source import ListedScheme, OwnScheme, Source


def differences(old: Source, new: Source) -> tuple[Difference, ...]:
    """Compare two versions field by field. Secrets are references, so they may be shown."""
    both_own = isinstance(old.verify, OwnScheme) and isinstance(new.verify, OwnScheme)
    return compared(_written(old, in_detail=both_own), _written(new, in_detail=both_own))


def written(source: Source) -> dict[str, str]:
    """Write a source as a person would, without what is not given; how it verifies in one field."""
    return {field: text for field, text in _written(source, in_detail=False).items() if text is not None}


def _written(source: Source, *, in_detail: bool) -> dict[str, str | None]:
    """Write every field of a source; how it verifies in one or, `in_detail`, in several."""
    return {
        "provider": source.provider,
        **(_own(source.verify) if in_detail and isinstance(source.verify, OwnScheme) else _in_one(source.verify)),
        "tolerance": f"{source.tolerance_seconds:g} s" if source.tolerance_seconds is not None else None,
        "secrets": ", ".join(map(_secret(source), source.secrets)) or None,
        **{f"settings.{name}": value for name, value in source.settings},
        "delivery_key": str(source.delivery_key) if source.delivery_key else None,
        "type": str(source.type) if source.type else None,
        "schema": f"a JSON Schema ({sha256(source.schema.encode()).hexdigest()[:12]})" if source.schema else None,
        "body_limit": f"{source.body_limit_bytes} bytes" if source.body_limit_bytes is not None else None,
        "limits.rate": f"{source.rate_per_second:g}/s" if source.rate_per_second is not None else None,
        "public_url": source.public_url,
        "run": source.run,
    }


def _secret(source: Source) -> Callable[[str], str]:
    until = {reference: f" until {moment:%Y-%m-%dT%H:%M:%SZ}" for reference, moment in source.expiries}
    return lambda reference: reference + until.get(reference, "")


def _own(scheme: OwnScheme) -> dict[str, str | None]:
    return {
        f"verify.{word}": value if isinstance(value, str) else json.dumps(value) for word, value in scheme.words.items()
    }


def _in_one(scheme: ListedScheme | OwnScheme | None) -> dict[str, str | None]:
    if scheme is None:
        return {"verify": "none"}
    if isinstance(scheme, ListedScheme):
        return {"scheme": scheme.name or "as the provider signs"}
    words = [f"{word}: {value if word == 'header' else json.dumps(value)}" for word, value in scheme.words.items()]
    return {"verify": "{" + ", ".join(words) + "}"}
