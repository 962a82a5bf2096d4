"""Giving a request another type, where its provider says its type."""

import re
from collections.abc import Mapping, Sequence

from app.core.catalog.draft import Draft
from app.core.catalog.proof import SignedRequest
from app.core.catalog.provider import Delivery, Place, Text


def with_type(delivery: Delivery, request: SignedRequest, event_type: str) -> SignedRequest | None:
    """Give the request with a type; None where the row names no place for this one that a text could be put at."""
    draft = Draft(request, delivery.content)
    before = next(filter(None, map(draft.text, delivery.type)), None)
    if before == event_type:
        return request
    chosen = _chosen(draft, delivery.type, event_type)
    if chosen is None:
        return None
    number, texts = chosen
    for place, text in texts.items():
        draft.put(place, text)
    for other, way in enumerate(delivery.type):
        place = next(part for part in reversed(way) if isinstance(part, Place))
        if len(way) == 1 and draft.at(place) == before and draft.takes(place):
            draft.put(place, event_type)  # senders that say it in a header and in the body say the same
        elif other < number and place not in texts and draft.text(way):
            draft.drop(place)  # it would be asked first: GitHub's push has no action
    return draft.request()


def _chosen(draft: Draft, ways: Sequence[Text], event_type: str) -> tuple[int, Mapping[Place, str]] | None:
    """Of the ways in which the type can be written, give the first that the request uses, at least in part."""
    fitting = []
    for number, way in enumerate(ways):
        texts = _apart(way, event_type)
        if texts and all(draft.takes(place) for place in texts):
            fitting.append((number, texts))
    return next((each for each in fitting if any(map(draft.at, each[1]))), fitting[0] if fitting else None)


def _apart(way: Text, event_type: str) -> Mapping[Place, str]:
    """Say what must stand at each place of a way for it to give this type; nothing, if it cannot."""
    pattern = "".join(re.escape(part) if isinstance(part, str) else "(.+)" for part in way)
    match = re.fullmatch(pattern, event_type)
    places = [part for part in way if isinstance(part, Place)]
    return dict(zip(places, match.groups(), strict=True)) if match else {}
