"""What gives its money back, and by setting its place: the steps of the chain, one by one."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db import keeping, leases, limits
from db.engine import Database
from db.records import NewRequest, Request
from db.states import Status
from tests.db.rows import new_request, row
from workers import admitting, attempts, following, providers, starting
from workers.context import Context
from workers.settings import SandboxOutcome, WorkerSettings
from workers.starting import Step
from workers.storage.folder import make as folder


def context_of(database: Database, outcome: SandboxOutcome, **changes: Any) -> Context:
    settings = WorkerSettings(
        output_dir=Path("videos").absolute(),
        sandbox_seconds=0,
        sandbox_outcome=outcome,
        sandbox_price_per_second=Decimal("0.40"),
        **changes,
    )
    return Context(settings, database, providers.load(settings), folder(settings))


def carried(context: Context) -> Request:
    """A request after it was admitted, started, and asked about once."""
    new: NewRequest = new_request()
    assert admitting.admit(context, new).is_allowed
    starting.start(context, new.id)
    following.follow(context, [new.id])
    return row(context.database, new.id)


def used(database: Database) -> int:
    with database.begin() as conn:
        return limits.get_rate_limit_info(conn, "alice", 5).used


@pytest.mark.parametrize("does_count", [True, False])
@pytest.mark.parametrize(
    "outcome", [SandboxOutcome.REFUSED, SandboxOutcome.FAILED, SandboxOutcome.FILTERED]
)
def test_rl7_what_failed_unbilled_gives_its_money_and_by_setting_its_place_back(
    database: Database, outcome: SandboxOutcome, does_count: bool
) -> None:
    context = context_of(database, outcome, failed_requests_count=does_count)
    request = carried(context)
    assert (request.status, request.cost_usd) == (Status.FAILED, Decimal("1.6"))
    assert not request.billed
    assert request.counted is does_count
    assert used(database) == does_count


@pytest.mark.parametrize("does_count", [True, False])
def test_rl7_who_was_too_busy_for_too_long_is_not_paid(
    database: Database, does_count: bool
) -> None:
    context = context_of(database, SandboxOutcome.BUSY, failed_requests_count=does_count)
    new = new_request()
    admitting.admit(context, new)
    with database.begin() as conn:
        most = {"attempts": attempts.MAX_ATTEMPTS}
        conn.execute(text("UPDATE video_requests SET attempts = :attempts"), most)
    starting.start(context, new.id)
    request = row(database, new.id)
    assert (request.error_code, request.billed, request.counted) == ("busy", False, does_count)


def test_rl7_a_timeout_of_an_accepted_operation_is_paid_and_counts(database: Database) -> None:
    context = context_of(database, SandboxOutcome.NEVER, failed_requests_count=False)
    new = new_request()
    admitting.admit(context, new)
    starting.start(context, new.id)
    with database.begin() as conn:
        conn.execute(text("UPDATE video_requests SET started_at = now() - interval '1 hour'"))
    following.follow(context, [new.id])
    request = row(database, new.id)
    assert (request.status, request.billed, request.counted) == (Status.TIMEOUT, True, True)


def test_rl7_a_call_of_which_nothing_came_gives_all_back(database: Database) -> None:
    context = context_of(database, SandboxOutcome.COMPLETED)
    new = new_request()
    admitting.admit(context, new)
    with database.begin() as conn:
        leases.claim(conn, new.id, new.id, lease=timedelta(seconds=1))
        conn.execute(text("UPDATE video_requests SET claimed_at = now() - interval '1 hour'"))
    following.follow(context, [new.id])
    request = row(database, new.id)
    assert (request.status, request.billed, request.counted) == (Status.TIMEOUT, False, False)


def test_rl6_the_chain_keeps_to_the_settings(database: Database) -> None:
    context = context_of(database, SandboxOutcome.COMPLETED, daily_limit=9, monthly_quota=1)
    assert admitting.admit(context, new_request()).is_allowed
    assert not admitting.admit(context, new_request()).is_allowed


@pytest.mark.parametrize("does_count", [True, False])
def test_vd3_what_was_deleted_while_its_call_was_not_taken_is_not_paid_for_later(
    database: Database, does_count: bool
) -> None:
    context = context_of(database, SandboxOutcome.COMPLETED, failed_requests_count=does_count)
    new = new_request()
    admitting.admit(context, new)
    with database.begin() as conn:
        leases.claim(conn, new.id, new.id, lease=timedelta(seconds=1))
        keeping.delete(conn, new.id, by="alice")
        leases.release(conn, new.id, new.id, due_in=timedelta(0))
    assert starting.start(context, new.id) is Step.STOPPED
    request = row(database, new.id)
    assert (request.error_code, request.billed, request.counted) == (
        "cancelled",
        False,
        does_count,
    )
    # Nothing but the mark, by which nobody makes it who has not heard of its end.
    assert [each.name for each in Path("videos", str(new.id)).iterdir()] == [".claim"]
