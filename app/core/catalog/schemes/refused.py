"""How a scheme says no from anywhere within it: one exception, turned into a verdict at the scheme's edge."""

from app.core.catalog.proof import Genuine, NotGenuine, SignedRequest, Verdict, Verifier


class Refused(ValueError):
    """Why a request is not proved, on its way to the verdict; a verifier never lets it out.

    To somebody who signs it is what it is: a value that cannot be signed.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.verdict = NotGenuine(code, detail)


def refuse_if(fault: NotGenuine | None) -> None:
    """Refuse for this fault, where there is one."""
    if fault is not None:
        raise Refused(fault.code, fault.detail)


def refusing(check: Verifier) -> Verifier:
    """Give the same check with every `Refused` turned into its verdict."""

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        try:
            return check(request, now)
        except Refused as refused:
            return refused.verdict

    return verify


def proved(how: str, number: int = 1) -> Genuine:
    """Tell how it was proved, and by which of several secrets or keys."""
    return Genuine(how if number <= 1 else f"{how}#{number}", number)
