"""Reading and changing requests, for libraries that take them to pieces."""

import httpx

from app.core.catalog.proof import Credentials, SignedRequest


def secret_of(credentials: Credentials) -> str:
    """The first secret, as libraries want it."""
    return credentials.secrets[0].decode()


def http(request: SignedRequest) -> httpx.Request:
    """The request as frameworks show it: names of headers without regard to case."""
    return httpx.Request(request.method, request.url, headers=list(request.headers), content=request.body)


def header(request: SignedRequest, name: str) -> str:
    """The value of a header that must be there."""
    return str(http(request).headers[name])


def with_headers(request: SignedRequest, headers: dict[str, str]) -> SignedRequest:
    """The request with these headers too."""
    added = tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
    return request._replace(headers=(*request.headers, *added))


def with_other_amount(request: SignedRequest) -> SignedRequest:
    """The same about one cent more."""
    body = request.body.replace(b"4200", b"4201")
    assert body != request.body
    return request._replace(body=body)


def with_other_url(request: SignedRequest) -> SignedRequest:
    """The same to another place."""
    return request._replace(url=request.url + "/elsewhere")


def with_other_token(request: SignedRequest) -> SignedRequest:
    """The same with one letter changed in the signature of the token in `Authorization`."""
    token = header(request, "authorization")
    place = token.rindex(".") + 12
    letter = "A" if token[place] != "A" else "B"
    others = tuple(each for each in request.headers if each[0] != b"authorization")
    changed = token[:place] + letter + token[place + 1 :]
    return request._replace(headers=(*others, (b"authorization", changed.encode())))
