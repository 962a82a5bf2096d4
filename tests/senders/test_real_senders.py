"""The providers' own libraries beside the catalogue, both ways: what they sign we take, what we sign they take."""

import time

import pytest

from app.core.catalog.proof import Genuine, NotGenuine
from app.core.catalog.signing import sign
from app.core.catalog.verifying import prepare
from tests.senders.sender import Sender
from tests.senders.table import SENDERS, SENDING, delivery


def now() -> float:
    """The last whole second: libraries that take nothing of the future read clocks by the second."""
    return float(int(time.time()))


@pytest.mark.parametrize("sender", SENDING, ids=str)
def test_what_a_library_signs_is_genuine(sender: Sender) -> None:
    keys, others, at = sender.keys(), sender.keys(), now()
    secrets = (*others.public.secrets, *keys.public.secrets) if sender.traits.rotates else keys.public.secrets
    assert sender.sign is not None
    request = sender.sign(keys.private, sender.unsigned, at)
    verdict = prepare(sender.row, keys.public._replace(secrets=secrets))(request, at)
    assert isinstance(verdict, Genuine), verdict
    assert verdict.matched_secret == (2 if sender.traits.rotates else 1)


@pytest.mark.parametrize("sender", SENDING, ids=str)
def test_what_was_changed_after_a_library_had_signed_it_is_refused(sender: Sender) -> None:
    keys, at = sender.keys(), now()
    assert sender.sign is not None
    request = sender.spoil(sender.sign(keys.private, sender.unsigned, at))
    verdict = prepare(sender.row, keys.public)(request, at)
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == "signature_mismatch"


@pytest.mark.parametrize("sender", SENDERS, ids=str)
def test_a_library_takes_what_we_sign(sender: Sender) -> None:
    keys = sender.keys()
    assert sender.takes(keys.public, sign(sender.row, keys.private, sender.unsigned, now()))


@pytest.mark.parametrize("sender", SENDERS, ids=str)
def test_a_library_refuses_what_was_changed_after_we_had_signed_it(sender: Sender) -> None:
    keys = sender.keys()
    assert not sender.takes(keys.public, sender.spoil(sign(sender.row, keys.private, sender.unsigned, now())))


@pytest.mark.parametrize("sender", SENDERS, ids=str)
def test_a_library_refuses_what_another_signed(sender: Sender) -> None:
    """And so it did not take the request above for want of looking."""
    assert not sender.takes(sender.keys().public, sign(sender.row, sender.keys().private, sender.unsigned, now()))


@pytest.mark.parametrize("sender", [sender for sender in SENDERS if sender.traits.judges_age], ids=str)
def test_what_is_too_old_for_us_is_too_old_for_the_library(sender: Sender) -> None:
    keys, tolerance = sender.keys(), sender.row.freshness.tolerance_seconds
    assert tolerance is not None
    request = sign(sender.row, keys.private, sender.unsigned, now() - tolerance - 2)
    verdict = prepare(sender.row, keys.public)(request, now())
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == "timestamp_too_old"
    assert not sender.takes(keys.public, request)


@pytest.mark.parametrize("sender", SENDING, ids=str)
def test_a_library_signs_for_whatever_address_a_source_has(sender: Sender) -> None:
    """The hook of the end-to-end tests."""
    sent = delivery(sender, "https://other.example/api/v1/webhooks/here")
    verdict = prepare(sender.row, sent.credentials)(sent.request, time.time())
    assert isinstance(verdict, Genuine), verdict


def test_at_least_fifteen_libraries_take_part() -> None:
    assert len({sender.package for sender in SENDERS}) >= 15
