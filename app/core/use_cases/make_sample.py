"""What a provider would have sent: a sample of it, of the type that is wanted, signed as the provider signs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from app.core.catalog.event_type import with_type
from app.core.catalog.identification import Identity, identify
from app.core.catalog.proof import Credentials, Headers, SignedRequest
from app.core.catalog.provider import Coded, Provider, Scheme
from app.core.catalog.sample import Sample, sample_of
from app.core.catalog.signing import sign
from app.core.catalog.tampering import tampered
from app.core.catalog.verifying import prepare
from app.core.domain.errors import Fault, Invalid


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """What is to be made."""

    provider: Provider
    scheme: Scheme
    signing: Credentials
    """What the provider signs with."""
    checking: Credentials
    """What the source would check it with."""
    url: str
    """Where it goes."""
    public_url: str
    """The address that the provider was given, which some of them sign: behind a proxy it is another."""
    event_type: str | None = None
    """None: the sample's own."""
    body: bytes | None = None
    """In the place of the sample's; its marks are filled in too."""
    content_type: str | None = None
    """Of that body; None: the sample's."""
    tamper: bool = False
    """Change it after it was signed, so that it must be refused."""
    age_seconds: float = 0.0
    """How long ago it was signed."""


class MadeSample(NamedTuple):
    """A request, ready to go."""

    request: SignedRequest
    """Its URL is where it goes, with what the signature put into the query."""
    identity: Identity
    """What it says of itself, before it was tampered with."""


def make_sample(order: SampleOrder, now: float, random: Random) -> MadeSample:
    """Make one request, another each time. Raises `Invalid` for an order that cannot be carried out."""
    provider, scheme = order.provider, order.scheme
    signed_at = now - order.age_seconds
    headers, body = _template(order).filled(signed_at, random)
    unsigned = _typed(order, SignedRequest(provider.methods[0], order.public_url, headers, body))
    try:
        signed = sent = sign(scheme, order.signing, unsigned, signed_at)
        if order.tamper:
            sent = tampered(signed, unsigned, scheme.coverage, prepare(scheme, order.checking))
    except ValueError as error:
        raise Invalid([Fault(f"{provider.name}, scheme {scheme.name}", str(error))]) from None
    identity = identify(provider.delivery, signed)
    if order.event_type is not None and identity.event_type != order.event_type.encode():
        raise _no_type(order)
    return MadeSample(sent._replace(url=_dialled(order, sent.url)), identity)


def has_key_pair(scheme: Scheme) -> bool:
    """Tell whether the provider signs with a private key of its own, and the source knows the public one."""
    if not isinstance(scheme.proof, Coded):
        return False
    from app.core.catalog.schemes.signing import GENERATORS  # brings cryptography, for which only these should wait

    return scheme.proof.name in GENERATORS


def both_sides(
    scheme: Scheme, secrets: Sequence[bytes], pem: bytes | None, settings: Mapping[str, str]
) -> tuple[Credentials, Credentials]:
    """Give what signs and what checks: a shared secret, or a key pair, which is made up where no private key is given.

    Raises `Invalid` for a private key that the scheme cannot use.
    """
    if not isinstance(scheme.proof, Coded) or not has_key_pair(scheme):
        shared = Credentials(tuple(secrets), settings)
        return shared, shared
    from app.core.catalog.schemes.signing import generate_key

    try:
        private, public = generate_key(scheme.proof.name, pem)
    except ValueError as error:
        raise Invalid([Fault(f"scheme {scheme.name}", str(error))]) from None
    return _with(private, settings), _with(public, settings)


def _with(credentials: Credentials, settings: Mapping[str, str]) -> Credentials:
    return credentials._replace(settings={**credentials.settings, **settings})


def _template(order: SampleOrder) -> Sample:
    sample = sample_of(order.provider.name, order.scheme.name)
    if order.body is None:
        return sample
    return Sample(_of_type(sample.headers, order.content_type), order.body)


def _of_type(headers: Headers, content_type: str | None) -> Headers:
    if content_type is None:
        return headers
    kept = [header for header in headers if header[0] != b"content-type"]
    return [(b"content-type", content_type.encode()), *kept]


def _typed(order: SampleOrder, request: SignedRequest) -> SignedRequest:
    if order.event_type is None:
        return request
    typed = with_type(order.provider.delivery, request, order.event_type)
    if typed is None:
        raise _no_type(order)
    return typed


def _no_type(order: SampleOrder) -> Invalid:
    why = "this type cannot be given to it" if order.provider.delivery.type else "it says no type"
    return Invalid([Fault(order.provider.name, f"{why}: leave --event out, or give a body of that type with --body")])


def _dialled(order: SampleOrder, signed_url: str) -> str:
    """Add to the address what the signature has added to the one that the provider was given."""
    url, added = order.url.partition("#")[0], signed_url.removeprefix(order.public_url).lstrip("?&")
    return f"{url}{'&' if '?' in url else '?'}{added}" if added else url
