"""The statement that appends a batch of events, and how the batch gets into its parameters.

The driver looks at each element of an array several times, so a column goes as one value: texts joined by a mark that
is in none of them, bytes one after the other. That spares more than a third of our time for a batch of 32, and costs
the server nothing: it splits as quickly as it reads arrays, and takes a body from the whole only where it is inserted.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import orjson

from app.core.domain.errors import RowRejected
from app.core.domain.event import NewEvent

# Every row of `delivery` is at its `place` in all columns; `apart` is $1, `absent` is $2.
#
# - The columns are split side by side in a list of results: in FROM, each would first be stored by itself.
# - `fresh` stands in each place that names it. Mostly everybody won, and then nobody is looked for among the winners.
# - The key of `delivery_keys` is its only unique one: to name it in ON CONFLICT would have the server look up, for each
#   partition at each execution, which of its indexes that is, for 5 % of its time.
APPEND = """
WITH delivery AS (
    SELECT id::uuid, 'epoch'::timestamptz + microseconds::bigint * interval '1 microsecond' AS received_at,
           substring($13::bytea FROM (place - 1) * 32 + 1 FOR 32) AS key,
           substring($14::bytea FROM (place - 1) * 32 + 1 FOR 32) AS digest,
           source, quarantine, provider, type, delivery_id, headers, content_type, verification, traceparent,
           body_start::int, body_size::int
    FROM (
        SELECT unnest(ids) AS id, generate_subscripts(ids, 1) AS place,
               unnest(string_to_array($4, $1)) AS source, unnest(string_to_array($5, $1)) AS provider,
               unnest(string_to_array($6, $1)) AS delivery_id, unnest(string_to_array($7, $1)) AS headers,
               unnest(string_to_array($8, $1)) AS verification, unnest(string_to_array($9, $1)) AS traceparent,
               unnest(string_to_array($10, $1, $2)) AS type, unnest(string_to_array($11, $1, $2)) AS content_type,
               unnest(string_to_array($12, $1, $2)) AS quarantine, unnest(string_to_array($15, $1)) AS microseconds,
               unnest(string_to_array($16, $1)) AS body_start, unnest(string_to_array($17, $1)) AS body_size
        FROM string_to_array($3, $1) AS ids
    ) AS texts
    WHERE id IS NOT NULL
), won AS (
    INSERT INTO delivery_keys (key, event_id, digest, received_at)
    SELECT key, id, digest, received_at FROM delivery
    ON CONFLICT DO NOTHING
    RETURNING event_id
), tally AS (
    SELECT count(*) AS winners FROM won
), fresh AS NOT MATERIALIZED (
    SELECT * FROM delivery
    WHERE (SELECT winners FROM tally) = length($13) / 32 OR id = ANY(ARRAY(SELECT event_id FROM won))
), kept AS (
    INSERT INTO events (id, source, provider, type, received_at, delivery_id, digest, content_type, verification,
                        traceparent, headers, body)
    SELECT id, source, provider, type, received_at, delivery_id, digest, content_type, verification,
           traceparent, headers::json, substring($18::bytea FROM body_start FOR body_size)
    FROM fresh
), waiting AS (
    INSERT INTO inbox (event_id, source) SELECT id, source FROM fresh WHERE quarantine IS NULL
), set_aside AS (
    INSERT INTO event_states (event_id, state, reason)
    SELECT id, 'quarantined', quarantine FROM fresh WHERE $12 IS NOT NULL AND quarantine IS NOT NULL
)
SELECT winners FROM tally
"""

Argument = str | bytes | None

HASH_BYTES = 32

# Unit and record separator: intake lets neither into a text.
_APART, _ABSENT = "\x1f", "\x1e"
# Some of the characters from here on are in no text of a batch: there are a million of them.
_FIRST_OTHER, _END = 0xE000, 0x110000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _MarkFound(Exception):
    """A text holds the character that was to part it from others, or to stand for none."""


def headers_json(headers: Iterable[tuple[str, str]]) -> str:
    """Write headers as they are kept. Raises `RowRejected` for what is no text: a lone surrogate."""
    try:
        return orjson.dumps(headers).decode()
    except orjson.JSONEncodeError as error:
        raise RowRejected(f"a header cannot be kept: {error}") from error


def arguments_of(events: Sequence[NewEvent]) -> list[Argument]:
    """Turn events into the arguments of APPEND. Raises `RowRejected` for what cannot be one."""
    try:
        return _arguments(events, _APART, _ABSENT)
    except _MarkFound:
        others = _unused(events)
        return _arguments(events, next(others), next(others))


def _arguments(events: Sequence[NewEvent], apart: str, absent: str) -> list[Argument]:
    (ids, sources, providers, keys, delivery_ids, types, times, headers, content_types, bodies, digests, verifications,
     traceparents, quarantines) = zip(*events, strict=True)  # fmt: skip
    if {*map(len, keys), *map(len, digests)} != {HASH_BYTES}:
        raise RowRejected(f"a delivery key or a digest is not of {HASH_BYTES} bytes")
    sizes = [len(body) for body in bodies]
    columns = (
        *(ids, sources, providers, delivery_ids, [headers_json(some) for some in headers]),
        *(verifications, traceparents),
    )
    return [
        apart,
        absent,
        *[_joined(column, apart) for column in columns],
        *[_joined_or_absent(column, apart, absent) for column in (types, content_types, quarantines)],
        b"".join(keys),
        b"".join(digests),
        # Whole numbers, for seconds with a fraction would not be exact; these are from 1685 to 2255.
        apart.join([str((time - _EPOCH) // _MICROSECOND) for time in times]),
        apart.join(map(str, accumulate(sizes[:-1], initial=1))),
        apart.join(map(str, sizes)),
        b"".join(bodies),
    ]


def _joined(texts: Sequence[str], apart: str) -> str:
    joined = apart.join(texts)
    if joined.count(apart) >= len(texts):
        raise _MarkFound
    # An empty text splits into no text at all, instead of into an empty one; this gives two, and the second has no id.
    return joined or apart


def _joined_or_absent(texts: Sequence[str | None], apart: str, absent: str) -> str | None:
    missing = texts.count(None)
    if missing == len(texts):
        return None  # no array at all: `unnest` fills it up, at no cost
    joined = _joined([absent if text is None else text for text in texts], apart)
    if joined.count(absent) > missing:
        raise _MarkFound
    return joined


def _unused(events: Sequence[NewEvent]) -> Iterator[str]:
    """Give characters that are in no text of these events."""
    used: set[str] = set()
    for event in events:
        for value in event:
            if isinstance(value, str):
                used.update(value)
        used.update(headers_json(event.headers))
    return (char for char in map(chr, range(_FIRST_OTHER, _END)) if char not in used)
