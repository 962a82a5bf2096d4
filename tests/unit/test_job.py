"""The states of a job: every move from every state, legal or refused."""

import pytest

from app.core.domain.job import FINISHED, OPEN, TRANSITIONS, JobStatus, Move, origins

S, M = JobStatus, Move
LEGAL = {
    S.PENDING: {M.CLAIM: S.IN_PROGRESS, M.CANCEL: S.CANCELLED},
    S.IN_PROGRESS: {
        M.COMPLETE: S.COMPLETED,
        M.POSTPONE: S.RETRYING,
        M.FAIL: S.ERROR,
        M.PARK: S.WAITING,
        M.RETURN: S.PENDING,
        M.LOSE: S.RETRYING,
    },
    S.RETRYING: {M.CLAIM: S.IN_PROGRESS, M.CANCEL: S.CANCELLED, M.FAIL: S.ERROR, M.RERUN: S.PENDING},
    S.WAITING: {M.CANCEL: S.CANCELLED, M.RERUN: S.PENDING},
    S.COMPLETED: {M.RERUN: S.PENDING},
    S.ERROR: {M.RERUN: S.PENDING},
    S.CANCELLED: {M.RERUN: S.PENDING},
}


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("move", Move)
def test_every_move_is_legal_where_it_was_meant_to_be_and_nowhere_else(status: JobStatus, move: Move) -> None:
    assert TRANSITIONS.get((status, move)) is LEGAL[status].get(move)
    assert (status in origins(move)) == (move in LEGAL[status])


def test_a_worker_s_job_is_nobody_else_s() -> None:
    """Neither cancelled nor run again under its hands: what it does then must not be forgotten."""
    assert {Move.CANCEL, Move.RERUN, Move.CLAIM}.isdisjoint(LEGAL[S.IN_PROGRESS])


def test_what_is_finished_only_a_person_moves() -> None:
    assert {move for status in FINISHED for move in LEGAL[status]} == {Move.RERUN}
    assert frozenset(JobStatus) == OPEN | FINISHED
    assert frozenset() == OPEN & FINISHED


def test_every_state_is_reached_and_can_be_left() -> None:
    assert set(TRANSITIONS.values()) == set(JobStatus)
    assert {status for status, _ in TRANSITIONS} == set(JobStatus)
