"""Which addresses may be dialled: the public ones, and of all others only those that somebody has opened.

Set apart is what IANA's registries of special-purpose addresses list (RFC 6890), and of IPv6 everything but 2000::/3,
from which alone global addresses are given out. Python's `is_global` calls multicast, 6to4 and NAT64 global.
An IPv6 address that only carries an IPv4 address is judged as that one, because that one is where its packets end.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, Self

from app.core.domain.errors import Fault, Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$)(?:{_LABEL}\.)*{_LABEL}\.?")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
"""What C libraries and browsers read as an IPv4 address, in whatever spelling: the last label is a number."""


class _Kind(NamedTuple):
    """A range that is set apart, and for what."""

    network: Network
    word: str
    private: bool = False
    """Somebody's own network, which a host's name in the allow list opens for that host."""


_CLOUD = "a cloud's service for its own machines"
_DOCUMENTATION = "an address for documentation"
_RESERVED = "a reserved address"

_KINDS = (
    # These come first: they lie in ranges that are private, or look public, and hand out credentials.
    _Kind(ip_network("100.100.100.200/32"), _CLOUD),  # Alibaba Cloud
    _Kind(ip_network("168.63.129.16/32"), _CLOUD),  # Azure
    _Kind(ip_network("fd00:ec2::/32"), _CLOUD),  # AWS
    _Kind(ip_network("fd20:ce::/32"), _CLOUD),  # Google Cloud
    _Kind(ip_network("0.0.0.0/8"), "this machine itself"),
    _Kind(ip_network("10.0.0.0/8"), "a private address", private=True),
    _Kind(ip_network("100.64.0.0/10"), "an address behind a carrier's NAT", private=True),
    _Kind(ip_network("127.0.0.0/8"), "a loopback address", private=True),
    _Kind(ip_network("169.254.0.0/16"), "a link-local address"),  # where most clouds keep their metadata
    _Kind(ip_network("172.16.0.0/12"), "a private address", private=True),
    _Kind(ip_network("192.0.0.0/24"), _RESERVED),
    _Kind(ip_network("192.0.2.0/24"), _DOCUMENTATION),
    _Kind(ip_network("192.88.99.0/24"), _RESERVED),  # 6to4 relays, withdrawn by RFC 7526
    _Kind(ip_network("192.168.0.0/16"), "a private address", private=True),
    _Kind(ip_network("198.18.0.0/15"), "an address for benchmarks"),
    _Kind(ip_network("198.51.100.0/24"), _DOCUMENTATION),
    _Kind(ip_network("203.0.113.0/24"), _DOCUMENTATION),
    _Kind(ip_network("224.0.0.0/4"), "a multicast address"),
    _Kind(ip_network("240.0.0.0/4"), _RESERVED),
    _Kind(ip_network("::/128"), "this machine itself"),
    _Kind(ip_network("::1/128"), "a loopback address", private=True),
    _Kind(ip_network("fc00::/7"), "a private address", private=True),
    _Kind(ip_network("fe80::/10"), "a link-local address"),
    _Kind(ip_network("ff00::/8"), "a multicast address"),
    _Kind(ip_network("2001::/23"), _RESERVED),  # protocols: Teredo, ORCHID, benchmarks
    _Kind(ip_network("2001:db8::/32"), _DOCUMENTATION),
    _Kind(ip_network("2002::/16"), "a 6to4 address"),  # carries an IPv4 address to relays that RFC 7526 withdrew
    _Kind(ip_network("3fff::/20"), _DOCUMENTATION),
)
_GIVEN_OUT = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AllowPrivate:
    """What is opened beyond public addresses, for one connection.

    A network opens each address in it, under whatever name. A name opens private, loopback and carrier-NAT addresses
    for that very host, and nothing else: not link-local ones, where clouds keep their credentials.
    """

    names: frozenset[str] = frozenset()
    """In lower case, without a dot at the end."""
    networks: frozenset[Network] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """Read what a person wrote: `localhost`, `10.1.0.0/16`, `::1`. Raises `Invalid`."""
        names, networks, faults = set(), set(), []
        for entry in entries:
            if fault := entry_fault(entry):
                faults.append(Fault("allow_private", fault))
            elif (network := _network(entry)) is not None:
                networks.add(network)
            else:
                names.add(_plain(entry))
        if faults:
            raise Invalid(faults)
        return cls(frozenset(names), frozenset(networks))


NOTHING_PRIVATE = AllowPrivate()


def entry_fault(entry: str) -> str | None:
    """Say what is wrong with an entry of an allow list by its form; None when nothing is."""
    if _network(entry) is not None or is_name(entry):
        return None
    return f"{entry[:80]!r} is neither a host's name nor a network: localhost, 10.1.2.3, 10.1.0.0/16, fd00:1::/64"


def is_name(host: str) -> bool:
    """Tell whether this is the name of a host: in ASCII, and no number that something could take for an address."""
    host = host.lower()
    return _NAME.fullmatch(host) is not None and not is_number(host)


def is_number(host: str) -> bool:
    """Tell whether something could take this for an IPv4 address: `127.0.0.1`, but also `2130706433` or `0x7f.1`."""
    return _NUMBER.fullmatch(host.lower()) is not None


def why_forbidden(address: str, host: str, allowed: AllowPrivate) -> str | None:
    """Say why `address`, to which `host` has been resolved, may not be dialled; None when it may."""
    try:
        dialled = _carried(ip_address(address))
    except ValueError:
        return f"{address!r} is no IP address"
    if isinstance(dialled, IPv6Address) and dialled.scope_id is not None:
        return f"{address} names a zone of this machine"
    kind = _kind(dialled)
    if kind is None or any(dialled in network for network in allowed.networks):
        return None
    if kind.private and _plain(host) in allowed.names:
        return None
    through = "" if str(dialled) == address else f" ({dialled})"
    return f"{address}{through} is {kind.word}"


def _carried(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _kind(address: Address) -> _Kind | None:
    for kind in _KINDS:
        if address in kind.network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GIVEN_OUT:
        return _Kind(_GIVEN_OUT, _RESERVED)
    return None


def _network(entry: str) -> Network | None:
    try:
        return None if "%" in entry else ip_network(entry)
    except ValueError:
        return None


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")
