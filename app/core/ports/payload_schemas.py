"""What a source's payloads must look like, where it says so by a JSON Schema."""

from abc import abstractmethod
from typing import Protocol


class PayloadSchemas(Protocol):
    """Judges contents by schemas, each given as the JSON text that its source keeps.

    Both calls are pure, safe from many threads, and bounded: a content takes microseconds, and none takes a second,
    whoever made it and for whatever schema. Nothing outside is ever asked: a schema is whole.
    """

    @abstractmethod
    def fault(self, schema: str, content: object) -> str | None:
        """Say what in a content does not fit; None when all of it does. Never raises, whatever the schema holds.

        The content is what `domain.body.read` gives: integers of any size, judged exactly, and no deeper than it
        reads. The text is one short line: the path of the first mismatch and what the schema expects there. It holds
        no value of the content, and no key that the schema does not name: either may be personal.
        """

    @abstractmethod
    def schema_fault(self, schema: str) -> str | None:
        """Say what is wrong with a schema itself, in one short line; None when payloads can be judged by it."""
