"""What the catalogue says of one source: its provider, its scheme, and what tells its deliveries apart."""

from dataclasses import replace
from functools import lru_cache

from app.core.catalog import catalogue
from app.core.catalog.provider import Coded, Delivery, Mac, Provider, Scheme
from app.core.catalog.provider import Place as InRequest
from app.core.catalog.rows import Malformed, read_scheme
from app.core.domain.source import ListedScheme, OwnScheme, Place, Source

_SIGN_URLS = frozenset({"twilio", "mandrill"})
"""Schemes with code that sign the whole URL. Others sign a path at most, which the request shows as well."""


def provider_of(source: Source) -> Provider:
    """Give its provider; one of no peculiarities where the catalogue does not list it."""
    found = catalogue.find(source.provider)
    return found or Provider(name=source.provider, title=source.provider, page="", setup="", schemes=())


@lru_cache(maxsize=1024)
def scheme_of(provider: str, verify: ListedScheme | OwnScheme) -> Scheme:
    """Give the scheme that a source verifies by. Raises `Malformed` for one that this version does not know."""
    if isinstance(verify, OwnScheme):
        return read_scheme("own", verify.words, catalogue.first_scheme)
    found = catalogue.find(provider)
    scheme = found.scheme(verify.name) if found is not None and found.schemes else None
    if scheme is None:
        raise Malformed(f"{provider} has no scheme {verify.name or 'of its own'} in this version's catalogue")
    return scheme


def signs_url(scheme: Scheme) -> bool:
    """Tell whether the URL is signed, so that a source must say which one its provider was given."""
    proof = scheme.proof
    if isinstance(proof, Mac):
        return "{url}" in proof.template or "{uri}" in proof.template
    return isinstance(proof, Coded) and proof.name in _SIGN_URLS


def delivery_of(source: Source) -> Delivery:
    """Say how its deliveries are told apart and named: as the provider's row has it, unless the source knows better."""
    delivery = provider_of(source).delivery
    if source.delivery_key is not None:
        ways = ((_in_request(source.delivery_key),),) if source.delivery_key.kind != "digest" else ()
        delivery = replace(delivery, id=ways, distinct_by=(), whole_body=False)
    if source.type is not None:
        delivery = replace(delivery, type=((_in_request(source.type),),))
    return delivery


def _in_request(place: Place) -> InRequest:
    return InRequest("header" if place.kind == "header" else "body", place.name)
