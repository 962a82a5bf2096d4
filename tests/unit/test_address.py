"""Which addresses may be dialled: every range that is set apart, at both of its ends, and what a person can open."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate, entry_fault, is_name, is_number, why_forbidden
from app.core.domain.errors import Invalid

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2000::", "2001:200::", "2606:4700::1111", "2a00::1", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::",
    "2003::", "3ffe:ffff::", "3fff:1000::",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip

PRIVATE = [
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7",
    "::ffff:10.0.0.0/104", "64:ff9b::127.0.0.0/104",
]  # fmt: skip
"""Opened by a name and by a network."""

NEVER_BY_NAME = [
    "0.0.0.0/8", "100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::2/127", "::7f00:1/128", "::ffff:0:7f00:1/128", "::ffff:169.254.0.0/112", "64:ff9b::169.254.0.0/112",
    "64:ff9b:1::/48", "100::/64", "1000::/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2",
    "5f00::/16", "8000::/2", "e000::/4", "fd00:ec2::/32", "fd20:ce::/32", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip

HOST = "inside.test"
BY_NAME = AllowPrivate.of([HOST])


def ends(network: str) -> list[str]:
    """The first and the last address."""
    return [str(ip_network(network)[0]), str(ip_network(network)[-1])]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert why_forbidden(address, HOST, NOTHING_PRIVATE) is None


@pytest.mark.parametrize("network", PRIVATE + NEVER_BY_NAME)
def test_what_is_set_apart_may_not(network: str) -> None:
    for address in ends(network):
        assert why_forbidden(address, HOST, NOTHING_PRIVATE)


@pytest.mark.parametrize("network", PRIVATE)
def test_a_name_opens_private_networks_for_that_name(network: str) -> None:
    for address in ends(network):
        for host in (HOST, f"{HOST}.", HOST.upper()):
            assert why_forbidden(address, host, BY_NAME) is None
        for host in ("other.test", f"x.{HOST}", "test", ""):
            assert why_forbidden(address, host, BY_NAME)


@pytest.mark.parametrize("network", NEVER_BY_NAME)
def test_a_name_opens_nothing_else(network: str) -> None:
    """Least of all the places where clouds hand out credentials."""
    for address in ends(network):
        assert why_forbidden(address, HOST, BY_NAME)


@pytest.mark.parametrize("network", ["10.0.0.0/8", "169.254.169.254/32", "fc00::/7", "fe80::/10", "2001:db8::/32"])
def test_a_network_opens_what_is_in_it_and_not_its_neighbours(network: str) -> None:
    allowed = AllowPrivate.of([network])
    for address in ends(network):
        assert why_forbidden(address, "any.test", allowed) is None
    for address in ("127.0.0.1", "192.168.0.1", "169.254.169.253", "::1", "ff02::1"):
        assert why_forbidden(address, "any.test", allowed)


def test_a_network_of_ipv4_opens_its_addresses_also_where_ipv6_carries_them() -> None:
    """That is where the packets end; and an IPv6 network in the list does not open what it only carries."""
    for address in ("::ffff:10.1.2.3", "64:ff9b::10.1.2.3"):
        assert why_forbidden(address, HOST, AllowPrivate.of(["10.1.0.0/16"])) is None
        assert why_forbidden(address, HOST, AllowPrivate.of(["10.2.0.0/16", "64:ff9b::/96"]))


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "0x7f000001", "127.0.0.1/8", "1.1.1.1\n", "::1::"])
def test_what_is_no_address_may_not_be_dialled(address: str) -> None:
    assert why_forbidden(address, HOST, AllowPrivate.of([HOST, "0.0.0.0/0", "::/0"]))


def test_an_address_in_a_zone_may_not_be_dialled() -> None:
    for address in ("fe80::1%eth0", "fd00::1%1", "2606:4700::1%lo"):
        assert why_forbidden(address, HOST, AllowPrivate.of([HOST, "::/0"]))


def test_the_reason_names_the_address_and_what_it_is() -> None:
    assert why_forbidden("10.1.2.3", HOST, NOTHING_PRIVATE) == "10.1.2.3 is a private address"
    carried = why_forbidden("64:ff9b::a9fe:a9fe", HOST, NOTHING_PRIVATE)
    assert carried == "64:ff9b::a9fe:a9fe (169.254.169.254) is a link-local address"


@given(ip_addresses())
def test_whatever_the_standard_library_calls_not_global_is_forbidden(address: object) -> None:
    """Its list is not enough, but nothing on it is missing here."""
    text = str(address)
    if not ip_address(text).is_global:
        assert why_forbidden(text, HOST, NOTHING_PRIVATE)


@pytest.mark.parametrize(
    "entry", ["localhost", "crm.internal.", "a_b.test", "XN--A.test", "10.1.2.3", "10.0.0.0/8", "::1", "fd00:1::/64"]
)
def test_names_and_networks_can_be_opened(entry: str) -> None:
    assert entry_fault(entry) is None
    allowed = AllowPrivate.of([entry])
    assert len(allowed.names) + len(allowed.networks) == 1


@pytest.mark.parametrize(
    "entry",
    ["", ".", "*", "*.internal", "a b", "a..b", "-a", "a-", "http://localhost", "localhost:80", "127.1", "2130706433",
     "0x7f.1", "127.0.0.01", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0", "[::1]", "b\N{LATIN SMALL LETTER U}\n",
     "\N{LATIN SMALL LETTER E WITH ACUTE}", "a" * 64, "a." * 127 + "ab"],
)  # fmt: skip
def test_nothing_else_can(entry: str) -> None:
    assert entry_fault(entry)
    with pytest.raises(Invalid):
        AllowPrivate.of(["localhost", entry])


def test_the_same_list_in_another_order_is_the_same() -> None:
    """Which lets connections be shared by those who may dial the same."""
    one = AllowPrivate.of(["localhost", "10.0.0.0/8", "::1"])
    assert one == AllowPrivate.of(["::1", "LOCALHOST.", "10.0.0.0/8", "localhost"])
    assert hash(one) == hash(AllowPrivate.of(["::1/128", "localhost", "10.0.0.0/8"]))


@pytest.mark.parametrize("host", ["1", "127.1", "0x", "0x7F.1", "1.2.3.4.", "a.b.0X1f", "a.1", "0", "1.2.3.4.5"])
def test_what_something_could_take_for_an_address_is_a_number(host: str) -> None:
    assert is_number(host)
    assert not is_name(host)


@pytest.mark.parametrize("host", ["a", "a.b", "1a.b", "1.a", "0x.a", "a.0xg", "a1", "xn--p1ai"])
def test_names_may_have_digits_where_no_address_ends_so(host: str) -> None:
    assert not is_number(host)
    assert is_name(host)
