"""QH1: a request by its id, and pages of requests that neither lose nor repeat any."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from db import history
from db.engine import Database
from db.history import Place, Wanted
from db.records import Request
from db.states import Status
from tests.db.histories import (
    GUILDS,
    USERS,
    ZONES,
    Made,
    bounds,
    histories,
    is_within,
    kept,
    made_at,
)
from tests.db.rows import admitted, in_state, row

Read = Callable[..., list[Request]]

wishes = st.builds(
    Wanted, st.sets(st.sampled_from(Status)), bounds, bounds, is_archived=st.booleans()
)


def expected(made: list[Made], wanted: Wanted, **whose: str) -> list[UUID]:
    """The ids that a plain look at the history finds."""
    found = [
        each
        for each in made
        if all(getattr(each, name) == value for name, value in whose.items())
        and not each.deleted
        and each.archived == wanted.is_archived
        and (not wanted.statuses or each.status in wanted.statuses)
        and is_within(each.created_at, wanted.since, wanted.until)
    ]
    newest_first = sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)
    return [each.id for each in newest_first]


def by_offset(read: Callable[..., list[Request]], limit: int) -> list[UUID]:
    """Every id, page by page until one is empty."""
    ids: list[UUID] = []
    while page := read(limit=limit, offset=len(ids)):
        assert len(page) <= limit
        ids += [request.id for request in page]
        assert len(ids) <= 100, "It goes round in a circle"
    return ids


def by_place(read: Callable[..., list[Request]], limit: int) -> list[UUID]:
    ids: list[UUID] = []
    after = None
    while page := read(limit=limit, after=after):
        assert len(page) <= limit
        ids += [request.id for request in page]
        assert len(ids) <= 100, "It goes round in a circle"
        after = Place.of(page[-1])
    return ids


@given(histories, wishes, st.integers(1, 25), st.sampled_from(ZONES))
@settings(max_examples=60)
def test_pages_hold_every_request_once_and_in_order(
    table: Database, made: list[Made], wanted: Wanted, limit: int, zone: str
) -> None:
    with kept(table, made, zone) as conn:

        def of_user(user: str) -> Read:
            return lambda **page: history.of_user(conn, user, wanted, **page)

        def of_guild(guild: str) -> Read:
            return lambda **page: history.of_guild(conn, guild, wanted, **page)

        for user in USERS:
            ids = expected(made, wanted, user_id=user)
            assert by_offset(of_user(user), limit) == ids
            assert by_place(of_user(user), limit) == ids
        for guild in GUILDS:
            ids = expected(made, wanted, guild_id=guild)
            assert by_offset(of_guild(guild), limit) == ids
            assert by_place(of_guild(guild), limit) == ids


@given(histories.filter(bool), st.data())
@settings(max_examples=25)
def test_offset_and_place_go_together(table: Database, made: list[Made], data: Any) -> None:
    with kept(table, made) as conn:
        everything = history.of_user(conn, "alice", limit=100)
        passed = data.draw(st.integers(0, len(everything)))
        after = Place.of(everything[passed - 1]) if passed else None
        offset = data.draw(st.integers(0, len(everything) + 2))
        page = history.of_user(conn, "alice", after=after, offset=offset, limit=3)
        assert page == everything[passed + offset :][:3]


def same_moment(count: int) -> list[Made]:
    moment = datetime(2024, 2, 29, tzinfo=UTC)
    return [made_at(moment) for _ in range(count)]


@pytest.mark.parametrize("limit", [1, 2, 7, 20, 100])
def test_requests_of_one_moment_are_each_on_one_page(table: Database, limit: int) -> None:
    made = same_moment(70)
    with kept(table, made) as conn:

        def read(**page: Any) -> list[Request]:
            return history.of_user(conn, "alice", **page)

        ids = expected(made, history.EVERYTHING, user_id="alice")
        assert by_offset(read, limit) == by_place(read, limit) == ids


def test_a_place_outlives_its_request(table: Database) -> None:
    made = same_moment(10)
    with kept(table, made) as conn:
        *_, last = history.of_user(conn, "alice", limit=4)
    left = [each for each in made if each.id != last.id]
    with kept(table, left) as conn:
        page = history.of_user(conn, "alice", after=Place.of(last))
    assert [each.id for each in page] == expected(made, history.EVERYTHING, user_id="alice")[4:]


def test_new_requests_do_not_move_the_next_page(table: Database) -> None:
    made = same_moment(10)
    with kept(table, made) as conn:
        first = history.of_user(conn, "alice", limit=5)
        second = history.of_user(conn, "alice", limit=5, after=Place.of(first[-1]))
    newer = made_at(made[0].created_at + timedelta(seconds=1))
    with kept(table, [*made, newer]) as conn:
        again = history.of_user(conn, "alice", limit=5, after=Place.of(first[-1]))
    assert [each.id for each in again] == [each.id for each in second]


def test_a_page_holds_whole_requests(database: Database) -> None:
    ids = [in_state(database, status, claim=uuid4(), user_id="alice") for status in Status]
    with database.begin() as conn:
        page = history.of_user(conn, "alice")
        rest = history.of_user(conn, "alice", offset=2)
    assert page == [row(database, request_id) for request_id in reversed(ids)]
    assert rest == page[2:]


def test_a_request_by_its_id(database: Database) -> None:
    request_id = admitted(database)
    with database.begin() as conn:
        assert history.by_id(conn, request_id) == row(database, request_id)
        assert history.by_id(conn, uuid4()) is None


def test_nobody_has_no_history(database: Database) -> None:
    admitted(database, user_id="alice")

    def everything(conn: Connection) -> list[Request]:
        return history.of_user(conn, "Alice") + history.of_guild(conn, "alice")

    with database.begin() as conn:
        assert everything(conn) == []
