"""DG2: what a process has seen last goes on without Postgres, whether a task comes to it or not."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import chain, repeat
from math import inf
from types import SimpleNamespace
from typing import NoReturn

import pytest
from sqlalchemy import text

from db import engine
from db.engine import Database
from db.settings import DatabaseSettings
from tests.db.rows import admitted, row
from tests.workers.broker import Broker
from tests.workers.conftest import MakeSystem
from tests.workers.test_alone import alone
from tests.workers.test_money import context_of
from tests.workers.waiting import PATIENCE, until
from workers import aftermath, lookout, memory
from workers.app import app
from workers.context import Context
from workers.errors import BrokerUnavailable
from workers.request_task import RequestTask
from workers.settings import SandboxOutcome

AT_ONCE = timedelta(0)


def look(context: Context) -> None:
    """The first look of a process."""
    lookout.Lookout().look(context)


def test_what_redis_does_not_take_is_sent_on_its_way_at_a_later_look(
    database: Database, make_system: MakeSystem
) -> None:
    broker, context = make_system().broker, alone(SandboxOutcome.COMPLETED)
    request = row(database, admitted(database))
    memory.keep(context, request, due_in=AT_ONCE)
    with Broker("redis://127.0.0.1:1/0").in_use(), pytest.raises(BrokerUnavailable):
        look(context)
    [(_, raw)] = broker.record(lambda: look(context))
    assert str(request.id) in json.loads(raw)["headers"]["argsrepr"]
    assert not broker.record(lambda: look(context))
    # When Postgres is there again, what went on is left alone for a while; nothing is forgotten.
    memory.keep(context, request, due_in=-memory.ON_ITS_WAY)
    back = context_of(database, SandboxOutcome.COMPLETED)
    look(back)
    assert aftermath.left_alone(back) is not None
    assert memory.forget(request.id) is not None


def test_a_postgres_that_only_reads_is_away(make_system: MakeSystem) -> None:
    system = make_system()
    request = row(system.database, admitted(system.database))
    with system.postgres_read_only():
        memory.keep(system.context, request, due_in=AT_ONCE)
        [(_, raw)] = system.broker.record(lambda: look(system.context))
        assert str(request.id) in json.loads(raw)["headers"]["argsrepr"]
        assert aftermath.left_alone(system.context) is None
        assert aftermath.is_recent(system.context)


def test_a_postgres_that_stands_still_leaves_time_for_tasks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again only after thrice as long, and taken for away meanwhile."""
    monkeypatch.setattr(engine, "FRESH", inf)
    # As the first look comes, asks, and has waited; and as the next ones come.
    moments = chain((0.0, 0.0, 0.5, 1.9), repeat(2.1))
    monkeypatch.setattr(lookout, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    settings = DatabaseSettings.model_validate({"database_url": database_url})
    with closing(Database(settings, answer_timeout=timedelta(seconds=1))) as database:
        context = context_of(database, SandboxOutcome.COMPLETED)
        with database.autocommit() as conn:
            pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        process = lookout.Lookout()
        os.kill(pid, signal.SIGSTOP)
        try:
            process.look(context)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert aftermath.is_recent(context)
        # By now it would answer.
        process.look(context)
        assert aftermath.left_alone(context) is None

        def is_back() -> bool:
            process.look(context)
            return aftermath.left_alone(context) is not None

        until(is_back, what="it is back")


def test_there_is_no_look_while_a_task_runs() -> None:
    """What that has half done would become a message of its own."""

    class Looking(RequestTask):
        name = "looking"

        def run(self) -> bool:
            return lookout.at_work.locked()

    Looking.bind(app)
    assert Looking()()
    assert not lookout.at_work.locked()


def test_a_look_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it fails of: without any look nothing would go on."""
    ends = [RuntimeError("Nobody has thought of it"), SystemExit()]

    def look_that_fails() -> NoReturn:
        raise ends.pop(0)

    monkeypatch.setattr(lookout, "context", look_that_fails)
    monkeypatch.setattr(lookout, "EVERY", 0.0)
    with pytest.raises(SystemExit), ThreadPoolExecutor(1) as process:
        process.submit(lookout.go_on).result(PATIENCE)
    assert not lookout.at_work.locked()


def test_while_postgres_is_there_nothing_goes_on_and_what_is_long_due_is_forgotten(
    database: Database, make_system: MakeSystem
) -> None:
    broker, context = make_system().broker, context_of(database, SandboxOutcome.COMPLETED)
    due, long_due = (row(database, admitted(database)) for _ in range(2))
    memory.keep(context, due, due_in=AT_ONCE)
    memory.keep(context, long_due, due_in=-memory.ON_ITS_WAY)
    assert not broker.record(lambda: look(context))
    assert memory.forget(long_due.id) is None
    assert memory.forget(due.id) is not None
