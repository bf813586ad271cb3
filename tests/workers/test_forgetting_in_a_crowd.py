"""Forgetting users while others ask for videos under shared budgets: nobody is in the way."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection, text

from db import budgets
from db.engine import Database
from db.standing import Budget, Period, Scope
from tests.db.crowds import at_once, many_connections
from tests.db.rows import admit_one, new_request
from workers import privacy
from workers.storage.folder import FolderStorage

GUILDS = ("one", "two", "three")


def asking(user: str, *guilds: str) -> Callable[[Connection], object]:
    """A dollar in each of the guilds, one after the other."""

    def ask(conn: Connection) -> None:
        for guild in guilds:
            new = new_request(user_id=user, guild_id=guild, cost_usd=Decimal(1))
            assert admit_one(conn, new, limit=1000).is_allowed

    return ask


def test_rl7_forgetting_somebody_of_several_guilds_deadlocks_with_nobody(
    database_url: str, tmp_path: Path
) -> None:
    storage = FolderStorage(tmp_path)
    with many_connections(database_url, 40) as database:
        with database.begin() as conn:
            for scope, scope_id in ((Scope.GUILD, budgets.EVERY), (Scope.ALL, "")):
                budgets.set_limit(conn, Budget(scope, scope_id, Period.DAY, Decimal(100_000)))

        def forgetting(user: str) -> Callable[[Connection], object]:
            def forget(conn: Connection) -> None:
                for turn in range(4):
                    # There and back, so that no order of guilds is everybody's.
                    asking(user, *(GUILDS if turn % 2 else reversed(GUILDS)))(conn)
                    privacy.forget(database, storage, user, is_counted=True)

            return forget

        leaving = [forgetting(f"leaving {number}") for number in range(4)]
        staying = [asking(f"staying {number}", *GUILDS * 10) for number in range(6)]
        at_once(database, [*leaving, *staying])
        assert_counters_are_exact(database)


def assert_counters_are_exact(database: Database) -> None:
    question = text(
        """
        SELECT scope, scope_id, spent_usd, video_spending(scope, scope_id, period, period_start)
        FROM budget_spending
        """
    )
    with database.begin() as conn:
        found = conn.execute(question).all()
    assert len(found) == 1 + len(GUILDS)
    for *whose, counted, summed in found:
        assert counted == summed, whose
