"""db/README.rst against the migrated database: tables, columns, indexes, rights."""

import importlib
import re
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from docutils import nodes

from db import admission, budgets, leases, limits, migrate, requests
from db.engine import Database
from db.events import EventType
from db.records import NewRequest
from db.standing import Budget, Outcome, Period, Scope
from db.tables import metadata
from tests.test_documents import ROOT, doctree
from tests.test_operating_documents import DB, literals, rows, section


def tables() -> dict[str, list[list[nodes.entry]]]:
    """The rows of each table's description."""
    described = {}
    part = section(DB, "Tables")
    for each in part.findall(nodes.table):
        before = each.parent[each.parent.index(each) - 1]
        described[literals(before)[0]] = [
            list(row.findall(nodes.entry)) for row in each.findall(nodes.row)
        ]
    return described


def test_every_table_and_column_is_described(database: Database) -> None:
    with database.begin() as conn:
        inspector = sa.inspect(conn)
        there = {
            table: [column["name"] for column in inspector.get_columns(table)]
            for table in inspector.get_table_names()
        }
    told = {
        table: [literals(name)[0] for name, _ in described] for table, described in tables().items()
    }
    assert told == there
    assert {*told} == {*metadata.tables}
    for described in tables().values():
        assert all(meaning.astext() for _, meaning in described)


def test_every_index_is_described(database: Database) -> None:
    with database.begin() as conn:
        there = conn.execute(
            sa.text("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
        ).scalars()
        told = [
            literals(row[0])[0]
            for row in rows(section(DB, "Indexes, and who reads by them"), header="Index")
        ]
        assert sorted(told) == sorted(there)


def test_the_next_migration_has_the_next_number() -> None:
    named = re.findall(r"\b(\d{3})_what_it_does", (ROOT / "sql" / "README.rst").read_text())
    assert {int(each) for each in named} == {len(migrate.migrations()) + 1}


def test_every_function_that_is_named_exists() -> None:
    named = {each for each in literals(doctree(DB)) if each.startswith("db.")}
    assert named
    for each in named:
        module, _, name = each.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), each


def test_every_type_of_event_is_named() -> None:
    [meaning] = [
        meaning for name, meaning in tables()["video_events"] if name.astext() == "event_type"
    ]
    assert sorted(literals(meaning)) == sorted(EventType)


def test_the_rights_of_the_document_are_enough_and_not_too_many(database: Database) -> None:
    [block] = [
        each.astext()
        for each in section(DB, "Users and rights").findall(nodes.literal_block)
        if "sql" in each["classes"]
    ]
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(Scope.ALL, "", Period.DAY, Decimal(100)))
        for statement in block.split(";"):
            if statement.strip():
                conn.execute(sa.text(statement))
    try:
        with database.autocommit() as conn:
            conn.execute(sa.text("SET ROLE video_bot_app"))
            try:
                work(conn)
                for forbidden in (
                    "CREATE TABLE mine (id INTEGER)",
                    "ALTER TABLE video_requests ADD COLUMN mine INTEGER",
                    "DELETE FROM schema_migrations",
                    "TRUNCATE video_requests CASCADE",
                ):
                    with pytest.raises(sa.exc.ProgrammingError, match=r"permission|must be owner"):
                        conn.execute(sa.text(forbidden))
            finally:
                conn.execute(sa.text("RESET ROLE"))
    finally:
        with database.begin() as conn:
            conn.execute(sa.text("DROP OWNED BY video_bot_app"))
            conn.execute(sa.text("DROP ROLE video_bot_app"))


def work(conn: sa.Connection) -> None:
    """What the processes do with the database: a request's whole life, and giving money back."""
    for is_to_fail in (False, True):
        new = NewRequest(
            uuid.uuid4(), "u", "g", "c", "a red kite", provider="p", model="m", cost_usd=Decimal(2)
        )
        half_a_minute = timedelta(seconds=30)
        admitted = admission.admit(conn, new, daily_limit=5, monthly_quota=5, lease=half_a_minute)
        assert admitted.outcome is Outcome.ADMITTED
        claim = uuid.uuid4()
        assert leases.claim(conn, new.id, claim, lease=half_a_minute)
        requests.start(
            conn, new.id, claim, operation_name="o", gcs_prefix="p", due_in=half_a_minute
        )
        leases.take_due(conn, limit=10, lease=half_a_minute)
        if is_to_fail:
            requests.fail(conn, new.id, code="c", message="m", is_billed=False)
        else:
            requests.complete(conn, new.id, ["file:///v.mp4"])
    standing = limits.get_standing(conn, "u", "g", daily_limit=5, monthly_quota=5)
    assert [each.spent_usd for each in standing.budgets] == [Decimal(2)]
    conn.execute(sa.text("DELETE FROM video_requests"))
