"""What is left alone after an outage, and for how long."""

from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from db import leases
from db.engine import Database
from db.errors import DatabaseUnavailable
from db.meanwhile import Meanwhile
from db.records import NewRequest, ReplyTo
from db.states import Status
from tests.db.rows import admit_one, new_request, row
from tests.workers.conftest import MakeSystem
from tests.workers.test_money import context_of
from workers import admitting, aftermath, memory, outage, starting
from workers.attempts import MAX_ATTEMPTS
from workers.context import Context
from workers.settings import SandboxOutcome
from workers.starting import Step

AWAY = DatabaseUnavailable("It is away")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(aftermath, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def refusal(new: NewRequest, **known: Any) -> Meanwhile:
    """A request that the provider has refused."""
    now = datetime.now(UTC)
    end: dict[str, Any] = {"status": Status.FAILED, "error_code": "refused", "error_message": "No."}
    return Meanwhile(new, now, completed_at=now, **end, **known)


def is_left_alone(context: Context, due_at: datetime) -> bool:
    found = aftermath.left_alone(context)
    return found is not None and found[0] <= due_at < found[1]


def test_dg3_what_was_due_in_an_outage_is_left_alone_for_a_minute_however_many_there_are(
    database: Database, clock: list[float]
) -> None:
    context = context_of(database, SandboxOutcome.COMPLETED)
    due_at = datetime.now(UTC) - timedelta(seconds=1)
    left_alone = []
    for clock[0] in range(0, 120, 20):
        aftermath.meet(context, AWAY)
        aftermath.look(context)
        left_alone.append(is_left_alone(context, due_at))
    # What became due since is what the later outages are about.
    with database.autocommit() as conn:
        assert left_alone == [True, True, True, True, False, False]
        found = aftermath.left_alone(context)
        assert found is not None
        assert due_at < found[0] < found[1] <= leases.now(conn)
    clock[0] += 61
    assert aftermath.left_alone(context) is None


def test_dg3_whoever_has_a_request_go_on_alone_knows_of_the_outage(
    make_system: MakeSystem,
) -> None:
    """However short: nobody else may have met it."""
    system, known = make_system(), Meanwhile(new_request(), datetime.now(UTC))
    sent = system.broker.record(lambda: outage.take_over(system.context, known, None, AWAY))
    assert len(sent) == 1
    aftermath.look(system.context)
    assert aftermath.left_alone(system.context) is not None


def test_dg3_whoever_refuses_leaves_alone_what_waits_to_be_written(make_system: MakeSystem) -> None:
    """Else it would have timed out first, or be answered again."""
    system = make_system(DATABASE_OUTAGE="refuse")
    admitting.admit(system.context, new := new_request())
    refused = refusal(new, has_row=True)
    sent = system.broker.record(lambda: outage.take_over(system.context, refused, None, AWAY))
    assert len(sent) == 1
    aftermath.look(system.context)
    assert aftermath.left_alone(system.context) is not None
    # What nobody has touched is tried again as it is.
    untouched = Meanwhile(new_request(), datetime.now(UTC))
    with pytest.raises(DatabaseUnavailable):
        outage.take_over(system.context, untouched, None, AWAY)


def test_dg3_what_was_due_before_and_after_is_taken_up(database: Database) -> None:
    before, within, after = (new_request() for _ in range(3))
    minute = timedelta(minutes=1)
    with database.autocommit() as conn:
        now = leases.now(conn)
        for new, ago in ((before, 3 * minute), (within, 2 * minute), (after, minute)):
            admit_one(conn, new)
            values = {"id": new.id, "due_at": now - ago}
            conn.execute(text("UPDATE video_requests SET due_at = :due_at WHERE id = :id"), values)
        span = now - 2 * minute, now - minute
        due = leases.take_due(conn, limit=9, lease=minute, left_alone=span)
        assert {row.id for row in due} == {before.id, after.id}


def test_dg3_where_another_is_about_to_call_without_postgres_it_is_waited_for(
    database: Database, clock: list[float]
) -> None:
    """His call may be refused, and his mark go: then somebody has to call."""
    context, new = context_of(database, SandboxOutcome.COMPLETED), new_request()
    admitting.admit(context, new)
    prefix, another = context.storage.prefix_for(new.id), uuid4()
    context.storage.create_marker(prefix, another)
    aftermath.meet(context, AWAY)
    aftermath.look(context)
    assert starting.start(context, new.id) is Step.STOPPED
    waits = row(database, new.id)
    assert (waits.status, waits.claim) == (Status.PENDING, None)
    assert waits.due_at is not None
    assert waits.due_at <= datetime.now(UTC) + outage.LONGEST_PAUSE
    context.storage.remove_marker(prefix)
    assert starting.start(context, new.id) is Step.DONE
    # Of a mark that stands when all that went on is written, nobody knows what came of it.
    later = new_request(user_id="bob")
    admitting.admit(context, later)
    context.storage.create_marker(context.storage.prefix_for(later.id), another)
    clock[0] += 61
    assert starting.start(context, later.id) is Step.STOPPED
    assert row(database, later.id).claim is not None


def test_dg3_another_who_calls_without_postgres_is_not_waited_for_for_ever(
    database: Database, clock: list[float]
) -> None:
    context, new = context_of(database, SandboxOutcome.COMPLETED), new_request()
    admitting.admit(context, new)
    context.storage.create_marker(context.storage.prefix_for(new.id), uuid4())
    for _ in range(MAX_ATTEMPTS):
        # Postgres comes and goes.
        clock[0] += 20
        aftermath.meet(context, AWAY)
        aftermath.look(context)
        starting.start(context, new.id)
        assert row(database, new.id).claim is None
    starting.start(context, new.id)
    assert row(database, new.id).claim is not None


def test_dg3_what_was_written_goes_on_again_should_postgres_go_at_once(
    make_system: MakeSystem,
) -> None:
    system, new = make_system(), new_request()
    admitting.admit(system.context, new)
    known = Meanwhile(new, datetime.now(UTC), has_row=True, unused_claim=uuid4())
    ended = refusal(new_request(channel_id="1"), answer_claim=uuid4())
    to = ReplyTo("1", "token")
    for each in (known, ended):
        carry_on = partial(outage.carry_on, system.context, each, to)
        assert len(system.broker.record(carry_on)) == 1
        seen = memory.forget(each.new.id)
        assert seen is not None
        assert seen.reply_to == to
