"""What the bot does while Postgres can be read and not written, as at a failover (DG1)."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from psycopg2 import extensions, sql

from bot.discord import sentences
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio
from tests.e2e.discord import Person
from tests.workers.waiting import until


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Iterator[Studio]:
    found = new_studio(DAILY_LIMIT=2)
    with found.bot():
        yield found


@contextmanager
def read_only(database_url: str) -> Iterator[None]:
    """Let no session of this database write, in the block."""
    name = extensions.parse_dsn(database_url)["dbname"]
    change = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    with connection.cursor() as cursor:

        def have(value: str) -> None:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(change.format(sql.Identifier(name), sql.SQL(value)))
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        have("on")
        try:
            yield
        finally:
            have("off")
            connection.close()


def test_dg1_nobody_spends_without_bound_where_nothing_counts(studio: Studio, ana: Person) -> None:
    """Every look at the limits finds them untouched: the ceiling of an outage holds then, too."""
    with read_only(studio.system.environment["DATABASE_URL"]):
        for number in range(3):
            asked = ana.slash("veo", {"prompt": f"kite number {number} over a park"})
            asked.wait_until_answered()
    assert asked.content == sentences.CEILING_REACHED
    until(lambda: len(studio.system.broker.messages()) == 2, what="two are on their way")
    assert len(studio.system.processes[0].said("Rate limiting degraded")) == 3
