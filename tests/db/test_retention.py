"""RE1: what retention deletes, what of it limits and budgets still count, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select, text

from db import budgets, forgetting, limits, privacy, removal, retention
from db.engine import Database
from db.history import Place
from db.settings import DatabaseSettings
from db.standing import Budget, Period, Scope, Standing
from db.states import ENDED, Status
from db.tables import budget_spending, request_remnants, video_events
from tests.conftest import MakeDatabase
from tests.db.old import ids_in, now, put, put_old, remnants, there, values
from tests.db.plans import crowd, plan
from tests.db.rows import admit
from tests.workers.waiting import until

__all__ = ["crowd"]

DAY = timedelta(days=1)
INDEX = "idx_video_requests_status_created"
USERS, GUILDS = ("alice", "bob"), ("guild", "dm")
TICK = timedelta(microseconds=1)


def month_start(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


# --- Which requests go -----------------------------------------------------------------------


def test_re1_a_batch_is_the_oldest_that_have_ended_and_are_old_enough(database: Database) -> None:
    with database.begin() as conn:
        moment = now(conn)
        ages = [50, 45, 40, 30, 10]
        by_age = {
            (status, days): put(conn, values(status, moment - days * DAY))[0]
            for status in Status
            for days in ages
        }
        before = moment - 30 * DAY
        for status in ENDED:
            found = retention.old(conn, status, before, after=None, limit=2)
            assert [each.id for each in found] == [by_age[status, 50], by_age[status, 45]]
            place = Place(found[-1].created_at, found[-1].id)
            rest = retention.old(conn, status, before, after=place, limit=2)
            assert [each.id for each in rest] == [by_age[status, 40]]


def test_requests_of_one_moment_are_told_apart_by_their_ids(database: Database) -> None:
    with database.begin() as conn:
        moment = now(conn) - 40 * DAY
        ids = sorted(put(conn, *(values(Status.FAILED, moment) for _ in range(7))))
        found: list[UUID] = []
        place = None
        while batch := retention.old(conn, Status.FAILED, now(conn), after=place, limit=3):
            found += [each.id for each in batch]
            place = Place(batch[-1].created_at, batch[-1].id)
    assert found == ids


@pytest.mark.parametrize("status", list(Status))
def test_re1_what_is_being_made_is_never_deleted_whatever_its_age(
    database: Database, status: Status
) -> None:
    with database.begin() as conn:
        moment = now(conn)
        [old] = put(conn, values(status, moment - 4000 * DAY))
        [young] = put(conn, values(status, moment - 10 * DAY))
        removed = removal.remove(conn, [old, young], before=moment - 30 * DAY)
        assert removed == status.has_ended
        assert there(conn) == ({young} if status.has_ended else {old, young})


@pytest.mark.parametrize("mark", ["deleted_at", "archived_at"])
def test_re1_what_was_deleted_or_archived_goes_like_the_rest_with_its_events(
    database: Database, mark: str
) -> None:
    with database.begin() as conn:
        moment = now(conn)
        row = values(Status.COMPLETED, moment - 40 * DAY, **{mark: moment - 39 * DAY})
        ids = put(conn, row)
        assert removal.remove(conn, ids, before=moment - 30 * DAY) == 1
        assert not there(conn)
        assert not conn.execute(select(func.count()).select_from(video_events)).scalar_one()


def test_re1_a_survey_counts_and_writes_nothing(database: Database) -> None:
    with database.begin() as conn:
        moment = now(conn)
        urls = ["file:///a.mp4", "file:///b.mp4"]
        put(
            conn,
            values(Status.COMPLETED, moment - 50 * DAY, video_urls=urls),
            values(Status.COMPLETED, moment - 40 * DAY, video_urls=urls[:1]),
            values(Status.TIMEOUT, moment - 45 * DAY),
            values(Status.GENERATING, moment - 45 * DAY),
            values(Status.FAILED, moment - 10 * DAY),
        )
        before = there(conn)
        completed, timeout = retention.survey(conn, moment - 30 * DAY)
        assert (completed.requests, completed.outputs) == (2, 3)
        assert (completed.oldest_at, completed.newest_at) == (moment - 50 * DAY, moment - 40 * DAY)
        assert (timeout.status, timeout.requests, timeout.outputs) == (Status.TIMEOUT, 1, 0)
        assert there(conn) == before


def test_re1_one_at_a_time_and_the_lock_goes_with_the_connection(database: Database) -> None:
    with database.autocommit() as one, database.autocommit() as two:
        shown = text("SHOW synchronous_commit")
        usual = one.execute(shown).scalar_one()
        with retention.alone(one) as is_alone, retention.alone(two) as is_alone_too:
            assert (is_alone, is_alone_too) == (True, False)
        for conn in (one, two):
            assert conn.execute(shown).scalar_one() == usual
        with pytest.raises(ZeroDivisionError), retention.alone(one):
            raise ZeroDivisionError

        def is_free() -> bool:
            with retention.alone(two) as is_alone:
                return is_alone

        until(is_free, what="the server has heard that the connection is gone")


# --- What is still counted -------------------------------------------------------------------

#: Ages at which something changes, and some others.
ages = st.one_of(
    st.sampled_from([DAY - TICK, DAY, DAY + TICK, timedelta(0), 40 * DAY]),
    st.timedeltas(timedelta(0), 3 * DAY),
    st.timedeltas(timedelta(0), 65 * DAY),
    # The first of the month, where that was.
    st.just(None),
)


@st.composite
def requests_made(draw: st.DrawFn) -> dict[str, Any]:
    # What is billed is counted: nothing in the system gives a place back without the money.
    billed, counted = draw(st.sampled_from([(True, True), (False, True), (False, False)]))
    return {
        "age": draw(ages),
        "status": draw(st.sampled_from([*Status, *ENDED, Status.COMPLETED])),
        "user_id": draw(st.sampled_from(USERS)),
        "guild_id": draw(st.sampled_from(GUILDS)),
        "cost_usd": draw(st.none() | st.decimals(0, 100, places=4)),
        "billed": billed,
        "counted": counted,
    }


def standings(conn: Connection) -> list[Standing]:
    """Of everybody everywhere, everything summed anew."""
    return [
        limits.get_standing(conn, user, guild, daily_limit=1000, monthly_quota=1000)
        for user in USERS
        for guild in GUILDS
    ]


@settings(max_examples=40)
@given(st.lists(requests_made(), max_size=25), st.booleans())
def test_re1_limits_and_budgets_stand_as_before_whatever_is_deleted_or_forgotten(
    budgeted: Database, made: list[dict[str, Any]], is_forgetting: bool
) -> None:
    with budgeted.begin() as conn:
        undone = conn.begin_nested()
        moment = now(conn)
        rows = []
        for one in made:
            changes = dict(one)
            age, status = changes.pop("age"), changes.pop("status")
            created_at = month_start(moment) if age is None else moment - age
            rows.append(values(status, created_at, **changes))
        ids = put(conn, *rows)
        before = standings(conn)
        if is_forgetting:
            for user in USERS:
                privacy.forget(conn, user)
            removal.remove(conn, ids, before=None)
        else:
            removal.remove(conn, ids, before=moment + TICK)
        assert standings(conn) == before
        removal.lapse(conn)
        assert standings(conn) == before
        left = there(conn)
        for row in rows:
            # Of the forgotten, what a message may still come for stays, empty.
            stays = is_forgetting and moment - row["created_at"] <= removal.MESSAGES_LAST
            assert (row["id"] in left) == (stays or not row["status"].has_ended)
        undone.rollback()


@pytest.fixture(scope="module")
def budgeted(make_database: MakeDatabase, template: str) -> Iterator[Database]:
    """A database whose every user and guild has a budget, and no request."""
    with make_database(template) as address:
        database = Database(DatabaseSettings.model_validate({"database_url": address}))
        with database.begin() as conn:
            for scope, name in ((Scope.USER, "*"), (Scope.GUILD, "*"), (Scope.ALL, "")):
                for period in Period:
                    budgets.set_limit(conn, Budget(scope, name, period, Decimal(1_000_000)))
        yield database
        database.close()


def test_re1_a_remnant_is_user_guild_time_and_price_and_nothing_else(database: Database) -> None:
    with database.begin() as conn:
        moment = now(conn)
        cost = {"cost_usd": Decimal("3.20")}
        ids = put(
            conn,
            values(Status.COMPLETED, moment - 3 * TICK, **cost),
            values(Status.FAILED, moment - 2 * TICK, **cost, billed=False),
            values(Status.FAILED, moment - TICK, **cost, billed=False, counted=False),
            values(Status.COMPLETED, moment - 70 * DAY, **cost),
        )
        assert removal.remove(conn, ids, before=moment) == 4
        assert remnants(conn) == [
            ("alice", "guild", moment - 3 * TICK, Decimal("3.2000")),
            ("alice", "guild", moment - 2 * TICK, Decimal(0)),
        ]


def test_re1_remnants_and_counters_lapse_once_no_window_counts_them(database: Database) -> None:
    spare = timedelta(hours=1)
    with database.begin() as conn:
        moment = now(conn)
        begin = min(month_start(moment - spare), moment - DAY - spare)
        times = [begin - 40 * DAY, begin - TICK, begin, begin + TICK, moment]
        conn.execute(
            insert(request_remnants),
            [
                {"user_id": "alice", "guild_id": "dm", "created_at": at, "cost_usd": 1}
                for at in times
            ],
        )
        late = moment - spare
        today = late.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        periods = {
            "day": [today - 40 * DAY, today - DAY, today],
            "month": [month_start(month_start(late) - DAY), month_start(late)],
        }
        conn.execute(
            insert(budget_spending),
            [
                {
                    "scope": "all",
                    "scope_id": "",
                    "period": period,
                    "period_start": start,
                    "spent_usd": 1,
                }
                for period, starts in periods.items()
                for start in starts
            ],
        )
        removal.lapse(conn)
        assert [row[2] for row in remnants(conn)] == times[2:]
        left = conn.execute(select(budget_spending.c.period, budget_spending.c.period_start))
        assert {tuple(row) for row in left} == {("day", today), ("month", month_start(late))}


def test_re1_an_admission_counts_what_is_gone(database: Database) -> None:
    ids = put_old(database, 5, days=0.5)
    with database.begin() as conn:
        assert removal.remove(conn, ids, before=now(conn)) == 5
    assert not ids_in(database)
    assert not admit(database, limit=5).is_allowed
    assert admit(database, limit=5, user_id="bob").is_allowed


# --- How little of it is read ----------------------------------------------------------------


@pytest.mark.parametrize("is_begun", [False, True])
def test_re1_a_batch_reads_its_own_rows(crowd: Database, is_begun: bool) -> None:
    with crowd.begin() as conn:
        before = now(conn) - 2 * DAY
        after = Place(now(conn) - 10 * DAY, uuid4()) if is_begun else None
        found = plan(
            conn,
            lambda conn: retention.old(conn, Status.COMPLETED, before, after=after, limit=200),
        )
        ids = [
            each.id
            for each in retention.old(conn, Status.COMPLETED, before, after=after, limit=200)
        ]
        assert found.indexes == {INDEX}
        assert found.rows_read <= 201 + 32
        assert len(ids) == 200
        found = plan(conn, lambda conn: removal.remove(conn, ids, before=before))
        assert "Seq Scan" not in found.kinds
        assert "video_requests_pkey" in found.indexes


def test_what_is_done_every_second_costs_a_few_probes(crowd: Database) -> None:
    with crowd.begin() as conn:
        conn.execute(
            text(
                """
                INSERT INTO request_remnants
                SELECT 'user ' || n, 'guild', now(), 0
                FROM generate_series(1, 20000) AS n
                """
            )
        )
        conn.execute(
            text(
                """
                INSERT INTO budget_spending
                SELECT 'guild', 'guild ' || n, period, video_period_start(period, now()), 1
                FROM generate_series(1, 1000) AS n, (VALUES ('day'), ('month')) AS two(period)
                """
            )
        )
        conn.execute(
            text(
                """
                INSERT INTO forgotten_users
                SELECT 'user ' || n, now()
                FROM generate_series(1, 2000) AS n
                """
            )
        )
        conn.execute(text("ANALYZE request_remnants, budget_spending, forgotten_users"))
        lapse = plan(conn, removal.lapse)
        take = plan(conn, lambda conn: forgetting.take(conn, limit=1000))
        for found in (lapse, take):
            kinds = found.kinds - {"CTE Scan", "Tid Scan"}
            assert kinds <= {"Index Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}, found.scans
            assert found.rows_read == 0
            assert found.is_quick
        assert lapse.indexes - {None} == {
            "budget_spending_pkey",
            "idx_forgotten_users_forgotten",
            "idx_request_remnants_created",
        }
        assert "idx_video_requests_forgotten" in take.indexes
