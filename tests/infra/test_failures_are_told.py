"""A failure that goes on is told at once, then once a minute, so that a log can still be read after a night of it."""

from structlog.testing import capture_logs

from app.core.domain.errors import Unavailable
from app.infra.container import failed


def test_the_same_reason_is_repeated_once_a_minute_and_another_one_told_at_once() -> None:
    now = 0.0
    tell = failed("something.failed", clock=lambda: now)
    with capture_logs() as lines:
        for second in range(0, 121, 2):
            now = float(second)
            tell(Unavailable("away"))
        tell(Unavailable("another reason"))
    assert [line["reason"] for line in lines] == ["away"] * 3 + ["another reason"]
    assert {(line["event"], line["log_level"]) for line in lines} == {("something.failed", "warning")}
