"""The figures that limits and budgets decide by, against a plain look at the history (RL1, RL6)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text

from db.engine import Database
from db.settings import DatabaseSettings
from db.tables import request_remnants
from tests.conftest import MakeDatabase
from tests.db.histories import GUILDS, USERS, ZONES, Made, histories, kept, moments

DAY = timedelta(hours=24)

few_examples = settings(max_examples=60)
zones = st.sampled_from(ZONES)


@pytest.fixture(scope="module")
def table(make_database: MakeDatabase, template: str) -> Iterator[Database]:
    """A table that each example finds empty."""
    with make_database(template) as address:
        database = Database(DatabaseSettings.model_validate({"database_url": address}))
        yield database
        database.close()


def keep_remnants(conn: Connection, made: Iterable[Made]) -> None:
    """As if the rows of these had been cleaned up."""
    rows = [
        {
            "user_id": each.user_id,
            "guild_id": each.guild_id,
            "created_at": each.created_at,
            "cost_usd": (each.cost_usd or 0) if each.billed else 0,
        }
        for each in made
        if each.counted
    ]
    if rows:
        conn.execute(insert(request_remnants), rows)


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    return start, (start + timedelta(days=31)).replace(day=1)


def day_of(moment: datetime) -> tuple[datetime, datetime]:
    start = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return start, start + DAY


@given(
    histories,
    histories,
    moments,
    st.integers(0, 6),
    st.integers(0, 20),
    zones,
)
@few_examples
def test_rl1_rl6_what_a_user_has_used(
    table: Database,
    made: list[Made],
    gone: list[Made],
    moment: datetime,
    daily: int,
    monthly: int,
    zone: str,
) -> None:
    # Nobody has asked after now.
    made = [each for each in made if each.created_at <= moment]
    gone = [each for each in gone if each.created_at <= moment]
    question = text(
        """
        SELECT daily.used AS used_of_day, daily.oldest_at, monthly.used AS used_of_month
        FROM daily_standing(:user_id, :daily, :moment) AS daily
        CROSS JOIN monthly_standing(:user_id, :monthly, :moment) AS monthly
        """
    )
    with kept(table, made, zone) as conn:
        keep_remnants(conn, gone)
        for user in USERS:
            found = conn.execute(
                question,
                {"user_id": user, "daily": daily, "monthly": monthly, "moment": moment},
            ).one()
            times = sorted(
                (
                    each.created_at
                    for each in [*made, *gone]
                    if each.user_id == user and each.counted
                ),
                reverse=True,
            )
            of_day = [time for time in times if time > moment - DAY][:daily]
            of_month = [time for time in times if time >= month_of(moment)[0]][:monthly]
            assert (found.used_of_day, found.used_of_month) == (len(of_day), len(of_month))
            assert found.oldest_at == (of_day[-1] if of_day else None)


@given(histories, histories, moments, zones)
@few_examples
def test_rl7_what_is_spent_of_a_budget(
    table: Database, made: list[Made], gone: list[Made], moment: datetime, zone: str
) -> None:
    question = text(
        "SELECT video_spending(:scope, :name, :period, video_period_start(:period, :moment))"
    )
    with kept(table, made, zone) as conn:
        keep_remnants(conn, gone)
        there = [each for each in made if each.billed]
        there += [each for each in gone if each.billed and each.counted]
        for period, (start, end) in (("day", day_of(moment)), ("month", month_of(moment))):
            of_period = [each for each in there if start <= each.created_at < end]
            for scope, name in (
                *(("user", user) for user in USERS),
                *(("guild", guild) for guild in GUILDS),
                ("all", ""),
            ):
                asked = {"scope": scope, "name": name, "period": period, "moment": moment}
                assert conn.execute(question, asked).scalar_one() == sum(
                    (
                        each.cost_usd or Decimal(0)
                        for each in of_period
                        if name in ("", each.user_id if scope == "user" else each.guild_id)
                    ),
                    Decimal(0),
                )
