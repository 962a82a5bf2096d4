"""What can go wrong, sorted by what the caller does next. Normal outcomes are values; these mean somebody must act."""

from collections.abc import Sequence
from dataclasses import dataclass


class OpsConnectError(Exception):
    """The root: its text says what happened, where, and what to do."""


class Unavailable(OpsConnectError):
    """Nothing was kept or changed; the same call may be made again."""


class Unfit(Unavailable):
    """The dependency answers, but is set up so that a promise would not hold on it; somebody must change that."""


class OutcomeUnknown(OpsConnectError):
    """The change may or may not have happened; the same call may be made again and will find out."""


class Forbidden(OpsConnectError):
    """Not done, because nobody has allowed it: the text says what, and who can. The same call fails again."""


class Unreachable(Unavailable):
    """No connection to the other side came about; nothing was sent to it."""


class ConnectingTooSlow(Unreachable):
    """Nor did it fail: the time for it was used up."""


class Untrusted(Unreachable):
    """The other side did not prove, by TLS, to be whom the address names."""


class AnswerLost(OutcomeUnknown):
    """A request was sent, or a part of it, and no whole answer came back; it may have been carried out."""


class AnswerTooSlow(AnswerLost):
    """The time for the answer was used up."""


class KeyMissing(Unavailable):
    """The provider says that there is no key at this address; it may be published later."""


class RowFault(OpsConnectError):
    """One row of a batch stands in the way, which one is not known; nothing was kept. Append the rows in halves."""


class RowRejected(RowFault):
    """The database refuses a row for what it holds. Appended alone, it fails again."""


class RowBlocked(RowFault):
    """Another transaction holds a row's key for longer than the lock budget. Appended alone later, it may pass."""


class SecretMissing(OpsConnectError):
    """A secret reference gives no secret here and now; the text names the reference, never a value."""


class NoSealKey(Forbidden):
    """What must be kept sealed is not kept, because there is no key to seal it with; the text says how to give one."""


class NotOpened(OpsConnectError):
    """What is sealed cannot be opened here: the key for it is missing, or it is not what was sealed."""


class NotPending(Forbidden):
    """A provider offers a secret that nobody expects; the text says how an operator lets it in."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with what a person wrote: where (a path, with the line if known) and what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class Invalid(OpsConnectError):
    """What a person wrote cannot be used; nothing was changed. All faults at once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
