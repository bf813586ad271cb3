"""A probe has its answer, or an error of ours, by its deadline, wherever the server stops."""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from time import monotonic

import pytest
from sqlalchemy import Connection, text

from db import probe
from db.errors import DatabaseError, DatabaseUnavailable
from db.probe import Probe
from db.settings import DatabaseSettings
from tests.db.test_engine import backend, frozen

SOON = timedelta(milliseconds=300)
IN_TIME = 2.0
"""Seconds, for a busy machine; libpq's own deadline is five."""


def probe_of(url: str) -> Probe:
    return Probe(DatabaseSettings.model_validate({"database_url": url}))


def test_a_probe_answers_and_leaves_nothing(database_url: str) -> None:
    with probe_of(database_url).connect(timedelta(seconds=5)) as conn:
        probe.ping(conn)
        assert probe.pending_migrations(conn) == ()
        pid = backend(conn)
        name = conn.execute(text("SHOW application_name")).scalar_one()
    assert name == f"video-bot {os.getpid()} probe"
    with probe_of(database_url).connect(timedelta(seconds=5)) as conn:
        assert backend(conn) != pid


def test_what_is_not_applied_is_named(empty_database_url: str) -> None:
    with probe_of(empty_database_url).connect(timedelta(seconds=5)) as conn:
        assert probe.pending_migrations(conn)[0] == "001_create_video_requests"


@pytest.mark.parametrize("ask", [probe.ping, probe.pending_migrations])
def test_a_server_that_freezes_in_the_middle_is_given_up(
    database_url: str, ask: Callable[[Connection], object]
) -> None:
    begin = monotonic()
    # Closing a cursor of a connection that was given up is told of instead.
    gone = pytest.raises(DatabaseUnavailable, match=r"did not answer in time|already closed")
    with ExitStack() as thawing, gone, probe_of(database_url).connect(SOON) as conn:
        thawing.enter_context(frozen(backend(conn)))
        ask(conn)
    assert monotonic() - begin < IN_TIME


def test_the_deadline_is_that_of_all_statements_together(database_url: str) -> None:
    begin = monotonic()
    late = pytest.raises(DatabaseUnavailable)
    with late, probe_of(database_url).connect(SOON) as conn:
        for _ in range(100):
            conn.execute(text("SELECT pg_sleep(0.1)"))
    assert monotonic() - begin < IN_TIME


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://bot:hush@127.0.0.1:{listener.getsockname()[1]}/videos"
        begin = monotonic()
        with pytest.raises(DatabaseUnavailable) as caught, probe_of(url).connect(SOON):
            raise AssertionError("There is nobody to connect to")
        assert monotonic() - begin < IN_TIME
        assert "hush" not in str(caught.value)


def test_what_postgres_refuses_is_an_error_of_ours(database_url: str) -> None:
    refused = pytest.raises(DatabaseError, match="does not exist")
    with refused, probe_of(database_url).connect(timedelta(seconds=5)) as conn:
        conn.execute(text("SELECT * FROM no_such_table"))
