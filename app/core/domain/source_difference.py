"""What differs between two versions of a source, in the words in which a person writes one."""

from dataclasses import dataclass

from app.core.domain.source import HmacScheme, Source


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that changed. None: it was, or is, not given."""

    field: str
    """As it is written: `verify.header`."""
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.field}: {self.old or 'not given'} → {self.new or 'not given'}"


def differences(old: Source, new: Source) -> tuple[Difference, ...]:
    """Compare two versions field by field. Secrets are references, so they may be shown."""
    both_verify = old.verify is not None and new.verify is not None
    before, after = _written(old, in_detail=both_verify), _written(new, in_detail=both_verify)
    return tuple(Difference(field, before[field], after[field]) for field in after if before[field] != after[field])


def written(source: Source) -> dict[str, str]:
    """Write a source as a person would, without what is not given; how it verifies in one field."""
    return {field: text for field, text in _written(source, in_detail=False).items() if text is not None}


def _written(source: Source, *, in_detail: bool) -> dict[str, str | None]:
    """Write every field of a source; how it verifies in one or, `in_detail`, in several."""
    return {
        "provider": source.provider,
        **(_scheme(source.verify) if in_detail and source.verify else {"verify": _in_one(source.verify)}),
        "secrets": ", ".join(source.secrets) or None,
        "delivery_key": str(source.delivery_key),
        "type": str(source.type) if source.type else None,
        "body_limit": f"{source.body_limit_bytes} bytes" if source.body_limit_bytes is not None else None,
        "limits.rate": f"{source.rate_per_second:g}/s" if source.rate_per_second is not None else None,
        "public_url": source.public_url,
    }


def _scheme(scheme: HmacScheme) -> dict[str, str | None]:
    return {
        "verify.header": scheme.header,
        "verify.prefix": scheme.prefix or None,
        "verify.encoding": scheme.encoding,
    }


def _in_one(scheme: HmacScheme | None) -> str:
    if scheme is None:
        return "none"
    return f'{{header: {scheme.header}, prefix: "{scheme.prefix}", encoding: {scheme.encoding}}}'
