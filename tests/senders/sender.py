"""What it takes to set a library beside our catalogue: it signs for us, and takes what we sign."""

import secrets
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from app.core.catalog.catalogue import find
from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.provider import Scheme
from app.core.catalog.schemes.signing import generate_key
from app.core.catalog.schemes.signing.generated import GeneratedKey
from tests.senders.parts import with_other_amount

URL = "https://hooks.example.com/api/v1/webhooks/sender"
EVENT = '{"id":"evt_1","type":"thing.made","amount":4200,"name":"Straße"}'.encode()
JSON = (b"content-type", b"application/json")
FORM = (b"content-type", b"application/x-www-form-urlencoded")

Sign = Callable[[Credentials, SignedRequest, float], SignedRequest]
"""(what signs, the request without signature, seconds since the epoch) → the request as the library signs it."""

Take = Callable[[Credentials, SignedRequest], object]
"""(what verifies, request) → False or a raised `refusal` where the library refuses, anything else where it does not."""


class Traits(NamedTuple):
    """What a library, or its provider, does not do as most."""

    judges_age: bool = False
    """It refuses what was signed too long ago. By its own clock, so that everything here is signed at the real time."""
    rotates: bool = True
    """Several secrets may be good at once."""


class Sender(NamedTuple):
    """One way in which a library signs and verifies."""

    package: str
    """As it is called on the index."""
    provider: str
    scheme: str
    take: Take
    sign: Sign | None = None
    """None: the library only verifies."""
    refusal: type[Exception] | tuple[()] = ()
    """Empty: it says False, and raises nothing."""
    keys: Callable[[], GeneratedKey] = lambda: shared(secrets.token_hex(32))
    """Makes secrets or keys of the provider's kind, others each time."""
    unsigned: SignedRequest = SignedRequest("POST", URL, (JSON,), EVENT)
    spoil: Callable[[SignedRequest], SignedRequest] = with_other_amount
    """Changes something that is signed; by default in the body."""
    traits: Traits = Traits()
    variant: str = ""

    def __str__(self) -> str:
        """Name it in the tests."""
        return " ".join(filter(None, (self.package, self.provider, self.variant)))

    @property
    def row(self) -> Scheme:
        """What the catalogue says of it."""
        provider = find(self.provider)
        scheme = provider.scheme(self.scheme) if provider else None
        assert scheme is not None, f"{self.provider} has no scheme {self.scheme}"
        return scheme

    def takes(self, public: Credentials, request: SignedRequest) -> bool:
        """Tell whether the library takes a request for genuine."""
        try:
            return self.take(public, request) is not False
        except self.refusal:
            return False


def shared(secret: str, **settings: str) -> GeneratedKey:
    """A secret that both sides have."""
    credentials = Credentials((secret.encode(),), settings)
    return GeneratedKey(credentials, credentials)


def whsec() -> GeneratedKey:
    """A secret of Standard Webhooks."""
    return shared("whsec_" + b64encode(secrets.token_bytes(24)).decode())


def pair(scheme: str) -> Callable[[], GeneratedKey]:
    """Give what makes key pairs of a scheme."""
    return partial(generate_key, scheme)
