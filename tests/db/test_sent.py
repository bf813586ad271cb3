"""What was sent and is no row yet, statement by statement."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from db import privacy, replies, sent
from db.engine import Database
from db.records import NewRequest, ReplyTo
from tests.db.rows import admit_one, new_request
from tests.workers.waiting import until

TOKEN = ReplyTo("100", "an interaction's token")
AT_ONCE = timedelta(0)
MINUTE = timedelta(minutes=1)
EDIT = timedelta(seconds=6)


def keep(
    conn: Connection, new: NewRequest, *, look_in: timedelta = AT_ONCE, ago: timedelta = AT_ONCE
) -> None:
    sent.keep(conn, new, TOKEN, "It goes into the queue.", look_in=look_in, ago=ago)


def take(conn: Connection, *, lease: timedelta = MINUTE) -> list[UUID]:
    return [each.new.id for each in sent.take(conn, limit=10, lease=lease)]


def number(conn: Connection) -> int:
    return int(conn.execute(text("SELECT count(*) FROM sent_requests")).scalar_one())


def test_what_is_taken_is_as_it_was_sent(database: Database) -> None:
    new = new_request(seed=7, negative_prompt="rain")
    with database.autocommit() as conn:
        keep(conn, new, ago=MINUTE)
        [found] = sent.take(conn, limit=10, lease=MINUTE)
    assert (found.new, found.reply_to) == (new, TOKEN)
    assert found.told == "It goes into the queue."
    assert MINUTE <= found.age < 2 * MINUTE
    assert not found.is_told_of


def test_each_is_looked_at_when_it_is_due_and_by_one(database: Database) -> None:
    due, later = new_request(), new_request()
    with database.autocommit() as conn:
        keep(conn, due)
        keep(conn, later, look_in=MINUTE)
        with database.begin() as one, database.begin() as two:
            assert take(one) == [due.id]
            assert take(two) == []
        assert take(conn) == []
        assert number(conn) == 2


def test_what_a_later_release_has_sent_is_left_to_it(database: Database) -> None:
    ours, theirs = new_request(), new_request()
    with database.autocommit() as conn:
        keep(conn, ours)
        keep(conn, theirs)
        changed = """UPDATE sent_requests SET request = request || '{"style": "oil"}'"""
        conn.execute(text(f"{changed} WHERE request_id = :id"), {"id": theirs.id})
        assert take(conn) == [ours.id]
        assert [each.id for each in sent.of(conn, theirs.user_id)] == [ours.id]
        # It is due for a bot of that release, as it was.
        its = "SELECT due_at <= now() FROM sent_requests WHERE request_id = :id"
        assert conn.execute(text(its), {"id": theirs.id}).scalar_one()


def test_what_a_crash_has_taken_is_missed(database: Database) -> None:
    kept, admitted, lost = new_request(), new_request(), new_request()
    with database.autocommit() as conn:
        for each in (kept, admitted, lost):
            keep(conn, each)
        admit_one(conn, admitted)
        sent.forget(conn, lost.id)
        asked = [kept.id, admitted.id, lost.id]
        assert sent.missed(conn, asked) == ({admitted.id}, {lost.id})


def test_it_is_known_how_long_ago_it_was_sent_the_last_time(database: Database) -> None:
    new = new_request()
    with database.autocommit() as conn:
        keep(conn, new, ago=MINUTE)
        sent.sent_again(conn, new.id)
        [found] = sent.take(conn, limit=10, lease=AT_ONCE)
        assert found.age >= MINUTE
        assert found.sent_at > conn.execute(text("SELECT now() - interval '30 s'")).scalar_one()


def test_what_is_a_row_and_what_nobody_can_answer_any_more_is_dropped(database: Database) -> None:
    admitted, old, waiting = new_request(), new_request(), new_request()
    with database.autocommit() as conn:
        for new, ago in ((admitted, AT_ONCE), (old, sent.LIFE), (waiting, AT_ONCE)):
            keep(conn, new, ago=ago)
        admit_one(conn, admitted)
        assert take(conn) == [waiting.id]
        assert number(conn) == 1
        # Whoever has admitted it may have died before that was done.
        assert replies.of(conn, [admitted.id]) == {admitted.id: TOKEN}
        # With no bot about, the sweeper sees to it.
        keep(conn, old, ago=sent.LIFE)
        sent.forget_expired(conn)
        assert number(conn) == 1


def test_it_is_told_that_it_waits_once(database: Database) -> None:
    new = new_request()
    with database.autocommit() as conn:
        keep(conn, new)
        assert sent.begin_telling(conn, new.id, at_most=EDIT)
        sent.end_telling(conn, new.id)
        [found] = sent.take(conn, limit=10, lease=MINUTE)
        assert found.is_told_of


def test_of_what_was_admitted_nothing_is_told_and_an_edit_under_way_is_waited_for(
    database: Database,
) -> None:
    """Whichever comes first: no edit of the bot's comes after the worker's answer."""
    told_first, admitted_first = new_request(), new_request()
    with database.autocommit() as conn:
        for new in (told_first, admitted_first):
            keep(conn, new)
            admit_one(conn, new)
        conn.execute(text("DELETE FROM video_requests WHERE id = :id"), {"id": told_first.id})
        with ThreadPoolExecutor(1) as elsewhere:
            with database.begin() as bot:
                assert sent.begin_telling(bot, told_first.id, at_most=EDIT)
                admit_one(conn, told_first)
                taken_over = elsewhere.submit(take_over, database, told_first)
                waits = text(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                until(lambda: conn.execute(waits).scalar_one() == 1, what="it waits for the edit")
            taken_over.result()
        reply_to, busy = replies.close(conn, told_first.id)
        assert reply_to == TOKEN
        assert AT_ONCE < busy <= EDIT
        take_over(database, admitted_first)
        assert not sent.begin_telling(conn, admitted_first.id, at_most=EDIT)
        assert replies.close(conn, admitted_first.id) == (TOKEN, AT_ONCE)
        assert number(conn) == 0


def take_over(database: Database, new: NewRequest) -> None:
    """What a worker does that has admitted it."""
    with database.autocommit() as conn:
        replies.keep(conn, new.id, TOKEN)


def test_it_is_told_to_whose_it_is_and_forgotten_with_them(database: Database) -> None:
    mine, others = new_request(), new_request(user_id="bob")
    with database.begin() as conn:
        keep(conn, mine)
        keep(conn, others)
        assert privacy.export(conn, "alice").waiting == [mine]
        privacy.forget(conn, "alice")
        assert take(conn) == [others.id]


def test_what_is_due_is_found_by_an_index(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        question = "EXPLAIN SELECT request_id FROM sent_requests WHERE due_at <= now()"
        explained = "\n".join(conn.execute(text(question)).scalars())
    assert "idx_sent_requests_due" in explained
