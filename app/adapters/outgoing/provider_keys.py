"""Keys at the providers themselves, fetched anew each time."""

from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate
from app.core.domain.errors import Forbidden, Invalid, KeyMissing, OutcomeUnknown, Unavailable
from app.core.domain.outgoing import OutgoingRequest, destination
from app.core.ports.outgoing import Outgoing
from app.core.ports.provider_keys import ProviderKeys


class FetchedProviderKeys(ProviderKeys):
    """Asks with one GET, and by TLS only: whoever can change a key on its way can forge what it proves."""

    def __init__(
        self,
        outgoing: Outgoing,
        *,
        fetch_seconds: float = 5.0,
        largest_bytes: int = 65_536,
        allow_private: AllowPrivate = NOTHING_PRIVATE,
    ) -> None:
        """`fetch_seconds` bounds a whole fetch, `largest_bytes` what stands at an address."""
        self._outgoing = outgoing
        self._allow_private = allow_private
        self._fetch_seconds = fetch_seconds
        self._largest_bytes = largest_bytes

    async def get(self, url: str, *, max_age_seconds: float | None = None) -> bytes:
        """Ask the provider, whatever the age: this is as new as can be had."""
        request = OutgoingRequest(
            url, allow_private=self._allow_private, seconds=self._fetch_seconds, keep_bytes=self._largest_bytes
        )
        try:
            where = destination(request)
            if where.scheme != "https":
                raise Forbidden(f"{where} is not https")
            answer = await self._outgoing.send(request)
        except (Invalid, Forbidden, OutcomeUnknown) as error:
            # For a key none of these is more than: not now. To ask is no change that could have happened.
            raise Unavailable(f"a provider's key cannot be fetched: {error}") from error
        if answer.status in {404, 410}:
            raise KeyMissing(f"{where} has no such key: it answered {answer.status}")
        if answer.status != 200:
            raise Unavailable(f"{where} gave no key: it answered {answer.status}")
        if answer.truncated:
            raise Unavailable(f"{where} gave more than {self._largest_bytes} bytes for a key")
        if not answer.body:
            raise Unavailable(f"{where} gave nothing for a key")
        return answer.body
