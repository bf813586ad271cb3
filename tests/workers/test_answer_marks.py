"""Who gives the one answer, by the mark in the storage."""

from uuid import uuid4

from db.engine import Database
from tests.workers.test_money import context_of
from workers import answer_marks
from workers.settings import SandboxOutcome


def test_who_looks_for_an_answer_leaves_the_mark_of_a_delivery(database: Database) -> None:
    """Whoever stood still past a lease looks after another has delivered it."""
    context, request_id = context_of(database, SandboxOutcome.COMPLETED), uuid4()
    assert not answer_marks.is_answered(context.storage, request_id)
    assert answer_marks.may_answer(context, request_id, request_id)
    assert answer_marks.is_answered(context.storage, request_id)
    assert not answer_marks.may_answer(context, request_id, uuid4())
    assert answer_marks.may_answer(context, request_id, request_id)
