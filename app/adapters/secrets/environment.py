"""Secrets in environment variables: `env:NAME`."""

import os
import re
from collections.abc import Mapping

from app.core.domain.errors import SecretMissing
from app.core.ports.secret_store import SecretStore

PREFIX = "env:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class EnvironmentSecrets(SecretStore):
    """Reads the variables that its process was started with; a changed one is seen after a restart."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables

    async def resolve(self, reference: str) -> bytes:
        """Read the variable, byte by byte as it was set."""
        if (fault := self.fault(reference)) is not None:
            raise SecretMissing(f"a secret reference {fault}")
        value = os.fsencode(self._variables.get(reference.removeprefix(PREFIX), ""))
        if not value.strip():
            raise SecretMissing(f"{reference} is not set: start this process with that environment variable")
        return value

    def fault(self, reference: str) -> str | None:
        """Judge by the form; what is not the name of a variable is not quoted, because it may be the secret."""
        if reference.startswith(PREFIX) and _NAME.fullmatch(reference.removeprefix(PREFIX)):
            return None
        return "must be env:NAME with the name of an environment variable: letters, digits and underscores"
