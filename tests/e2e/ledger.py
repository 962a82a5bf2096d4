"""What must hold after every fault: the store against the sender's own book."""

from collections.abc import Sequence
from hashlib import sha256

from tests.e2e.conftest import rows
from tests.e2e.sender import Sent


async def assert_ledger(url: str, work: Sequence[Sent], *, planned: bool = False) -> None:
    """Every acknowledged delivery has one row with its bytes, and every answer names that row.

    `planned`: workers have taken all of them from the inbox.
    """
    kept = {
        row["delivery_id"]: (str(row["id"]), row["digest"])
        for row in await rows(url, "SELECT id, delivery_id, digest FROM events")
    }
    (count,) = (row[0] for row in await rows(url, "SELECT count(*) FROM events"))
    assert count == len(kept), "a delivery id stands in two rows"
    assert set(kept) <= {sent.delivery_id for sent in work}, "something was stored that was never sent"
    inbox = {str(row["event_id"]) for row in await rows(url, "SELECT event_id FROM inbox")}
    assert inbox == (set() if planned else {event_id for event_id, _ in kept.values()})
    for sent in work:
        if sent.acknowledged:
            assert sent.delivery_id in kept, f"{sent.delivery_id} was acknowledged and is gone: {sent.answers}"
        if sent.delivery_id in kept:
            event_id, digest = kept[sent.delivery_id]
            assert digest == sha256(sent.body).digest()
            assert {answer for status, answer in sent.answers if status in {200, 202}} <= {event_id}
        assert {status for status, _ in sent.answers} <= {0, 200, 202, 503}
