"""Who gives the one answer, by the mark in the storage."""

from contextlib import suppress
from uuid import uuid4

from db.engine import Database
from db.errors import DatabaseUnavailable
from tests.db.rows import new_request
from tests.workers.test_money import context_of
from workers import admitting, answer_marks, cancelling, starting
from workers.settings import SandboxOutcome
from workers.starting import Step


def test_who_looks_for_an_answer_leaves_the_mark_of_a_delivery(database: Database) -> None:
    """Whoever stood still past a lease looks after another has delivered it."""
    context, request_id = context_of(database, SandboxOutcome.COMPLETED), uuid4()
    assert not answer_marks.is_answered(context.storage, request_id)
    assert answer_marks.may_answer(context, request_id, request_id)
    assert answer_marks.is_answered(context.storage, request_id)
    assert not answer_marks.may_answer(context, request_id, uuid4())
    assert answer_marks.may_answer(context, request_id, request_id)


def test_vd3_only_a_deletion_that_stands_leaves_the_mark(database: Database) -> None:
    """What is there all the same is to be answered as soon as it ends."""
    context, new = context_of(database, SandboxOutcome.COMPLETED), new_request()
    admitting.admit(context, new)
    assert starting.start(context, new.id) is Step.DONE
    with suppress(DatabaseUnavailable), database.begin() as conn:
        cancelling.delete(conn, context.storage, new.id, by="alice", is_counted=True)
        raise DatabaseUnavailable("It is away")
    assert not answer_marks.is_answered(context.storage, new.id)
    with database.begin() as conn:
        cancelling.delete(conn, context.storage, new.id, by="alice", is_counted=True)
    assert answer_marks.is_answered(context.storage, new.id)
