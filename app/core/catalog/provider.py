"""A provider: a kind of sender, as data. How it signs, names its deliveries, wants to be answered, and gives up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.core.catalog.proof import Freshness

Coverage = Literal["full", "partial", "none"]
"""What a proof speaks for: the whole body, some of it, or only that somebody knew a secret."""

Digest = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64", "base64url"]
SecretText = Literal["text", "nfkd", "hex", "base64", "whsec", "whsec or text"]
TimeUnit = Literal["s", "ms", "rfc3339", "imf"]

UNJUDGED = Freshness()


@dataclass(frozen=True, slots=True)
class SignatureList:
    """A header that holds several values: `t=1,v1=…,v1=…`. Any of the right key may match; others are passed over."""

    separator: str
    """As it is written. Blanks beside it make no difference when it is read."""
    key: str
    assign: str = "="


@dataclass(frozen=True, slots=True)
class Timestamp:
    """Where the time of signing stands: in a header, beside the signature in its list, or in the JSON body."""

    place: Literal["header", "item", "body"]
    name: str
    """Of headers several, with `|` between them; the first that is there counts."""
    unit: TimeUnit


@dataclass(frozen=True, slots=True)
class Mac:
    """A keyed digest over a text made from the request by a template."""

    headers: tuple[str, ...]
    """In lower case; the first that is there counts. Where they are numbered, what they begin with."""
    numbered: bool = False
    template: str = "{body}"
    digest: Digest = "sha256"
    keyed: bool = True
    """False: a plain digest, with the secret in the template."""
    encoding: Encoding = "hex"
    prefixes: tuple[str, ...] = ("",)
    """What stands before the signature; more than one where senders differ. The first is the one we write."""
    list: SignatureList | None = None
    decoding: SecretText = "text"
    """How the secret is written."""
    secret_suffix: str = ""
    timestamp: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The secret itself comes with the request. It proves who speaks, and nothing about what is said."""

    place: Literal["header", "bearer", "basic", "body", "query"]
    names: tuple[str, ...] = ()
    """Of the header (in lower case) or the query parameter, or dotted paths in the body; any of several."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A scheme with code of its own, by its name in `schemes.SCHEMES`."""

    name: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way in which a provider proves its requests."""

    name: str
    proof: Mac | SharedSecret | Coded
    coverage: Coverage = "full"
    freshness: Freshness = UNJUDGED
    needs: Literal["secret", "public key", "fetched key"] = "secret"
    """What a source must bring for it; a fetched key needs nothing but the settings."""
    settings: tuple[str, ...] = ()
    """Names of the settings that it cannot do without."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a request a text stands: `header:NAME`, `body:JMESPATH`, `claim:HEADER:NAME` (of a token)."""

    kind: Literal["header", "body", "claim"]
    name: str


Text = tuple[str | Place, ...]
"""Places and what stands between them: all of them must be there."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How deliveries are told apart and named; of several ways the first that gives something counts."""

    id: tuple[Text, ...] = ()
    type: tuple[Text, ...] = ()
    distinct_by: tuple[Text, ...] = ()
    """Where the id is only that of an entity: what tells its deliveries apart, as its status or a time. All that is
    there counts; if nothing is, the whole body does."""
    whole_body: bool = False
    """The id names one item of many, or an entity: only the body as a whole tells two deliveries apart."""
    items: str = ""
    """The JMESPath of the items of a batch; empty: a delivery is one thing."""
    content: str = ""
    """How the body is read where its content type does not say: `form:FIELD` (JSON in a form), `jws:FIELD`, `xml`,
    `xml:FIELD` (Base64 in a form)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender insists on hearing."""

    status: int
    body: str | None = None
    """None: ours will do. Empty: it must be."""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of sender."""

    name: str
    title: str
    page: str
    """Where the provider says all this itself."""
    setup: str
    """What to paste where."""
    schemes: tuple[Scheme, ...]
    """The strongest first, which is the default; a weaker one is never tried unless a source is pinned to it."""
    delivery: Delivery = Delivery()
    methods: tuple[str, ...] = ("POST",)
    answer_seconds: float | None = None
    """How long it waits for an answer; None: it does not say."""
    retries: str = ""
    disables: str = ""
    """What makes it stop sending for good."""
    good: Answer | None = None
    """None: any 2xx will do."""
    bad: Answer = Answer(401)
    settings: Mapping[str, str] = field(default_factory=dict)
    """What else a source of it may be given, by name, with what it is."""

    def scheme(self, name: str | None = None) -> Scheme | None:
        """Give the scheme of a name, in which hyphens and underscores are the same, or the default."""
        if name is None:
            return self.schemes[0]
        return next((scheme for scheme in self.schemes if scheme.name == name.replace("-", "_")), None)
