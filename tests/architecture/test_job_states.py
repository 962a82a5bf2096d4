"""The drawing of a job's states is the table that the code goes by."""

import re
from pathlib import Path

from app.core.domain.job import FINISHED, TRANSITIONS, JobStatus

ARROW = re.compile(r"^ {4}(\S+) --> (\S+?)(?:: (\S+))?$")


def test_the_states_of_a_job_are_drawn_as_they_are(repository: Path) -> None:
    page = (repository / "docs/event-lifecycle.md").read_text()
    drawing = page.partition("stateDiagram-v2\n")[2].partition("```")[0].splitlines()
    arrows = [match.groups() for line in drawing if (match := ARROW.match(line))]
    assert len(arrows) == len(drawing)
    moves = {(source, move): target for source, target, move in arrows if move is not None}
    assert moves == {(source.value, move.value): target.value for (source, move), target in TRANSITIONS.items()}
    ends = {(source, target) for source, target, move in arrows if move is None}
    assert ends == {("[*]", JobStatus.PENDING.value), *((status.value, "[*]") for status in FINISHED)}
