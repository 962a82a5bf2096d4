"""The URL that a signature covers, and the rules that decide from where a key may be fetched."""

import re
from urllib.parse import SplitResult, urlsplit

from app.core.catalog.proof import SignedRequest
from app.core.catalog.schemes.reading import utf8
from app.core.catalog.schemes.refused import Refused

LONGEST_URL = 2_048
_PLAIN = re.compile(r"[!-~]+")


def known_url(request: SignedRequest) -> str:
    """Give the URL, without which a signature over it can never match."""
    if not request.url:
        raise Refused("url_unknown", "this provider signs the URL: the source needs its public_url")
    utf8(request.url, "the URL")
    return request.url


def split(url: str) -> SplitResult:
    """Take a URL apart."""
    try:
        return urlsplit(url)
    except ValueError:
        raise Refused("url_unknown", "the URL cannot be read") from None


def allowed(url: str, host: re.Pattern[str], path: re.Pattern[str], what: str) -> str:
    """Give a URL that a request names, if a key may be fetched there: https, that host and path, and nothing else.

    No port, no user, no query and no fragment. The patterns must fit whole, and have no room for tricks of spelling.
    """
    if len(url) <= LONGEST_URL and _PLAIN.fullmatch(url) and url.startswith("https://"):
        name, slash, rest = url.removeprefix("https://").partition("/")
        if host.fullmatch(name) and path.fullmatch(slash + rest):
            return url
    raise Refused("key_url_refused", f"{what} is not at an address of the provider")
