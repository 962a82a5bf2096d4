"""The store behind every reference: each goes to the store that its scheme names."""

from collections.abc import Mapping

from app.core.domain.errors import SecretMissing
from app.core.ports.secret_store import SecretStore


class ReferencedSecrets(SecretStore):
    """Several stores as one, by the word before the colon."""

    def __init__(self, stores: Mapping[str, SecretStore]) -> None:
        """Take stores by scheme: `{"env": …, "file": …}`; each is given whole references."""
        self._stores = stores

    async def resolve(self, reference: str) -> bytes:
        """Ask the store that the reference names."""
        return await self._named_by(reference).resolve(reference)

    async def resolve_all(self, reference: str) -> tuple[bytes, ...]:
        """Ask the store that the reference names."""
        return await self._named_by(reference).resolve_all(reference)

    def fault(self, reference: str) -> str | None:
        """Let the named store judge. A text without a known scheme may be a secret, so it is never quoted."""
        scheme, colon, _ = reference.partition(":")
        if colon and scheme in self._stores:
            return self._stores[scheme].fault(reference)
        known = " or ".join(f"{name}:…" for name in self._stores)
        if colon and scheme == "vault":
            return f"names Vault, whose store is not in this version; use {known}"
        return f"is no reference ({known}); never write a secret itself here: put it into a variable or a file"

    def _named_by(self, reference: str) -> SecretStore:
        store = self._stores.get(reference.partition(":")[0])
        if store is None:
            raise SecretMissing(f"a secret reference {self.fault(reference)}")
        return store
