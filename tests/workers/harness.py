"""A whole system of a test's own: a real Redis, real workers, a database, and eyes on all of it.

Nothing here is part of the product, and the product knows nothing of it: what a test learns it
learns from the rows, the broker, the logs and the folder, as an operator would.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg2
from sqlalchemy import func, make_url, select

from db import events, leases, requests
from db.engine import Database
from db.records import Event, NewRequest, ReplyTo, Request
from db.settings import DatabaseSettings, Settings
from db.states import Status
from db.tables import video_requests
from tests.workers.broker import Broker, Message, Watch
from tests.workers.running import Process, Worker
from tests.workers.waiting import PATIENCE, stays, until
from workers import chain, providers, storage
from workers.app import app
from workers.context import Context
from workers.embedded import redis
from workers.settings import DiscordSettings, WorkerSettings

S = TypeVar("S", bound=Settings)

SETTLED: Final = 0.3
"""Seconds for which nothing is to be seen before it counts as quiet: between Redis' giving a
message out and the worker's noting that it has it, the message is nowhere."""


class System:
    """Postgres, Redis, a folder for videos, and the processes that a test starts."""

    def __init__(self, folder: Path, environment: Mapping[str, str], database: Database) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.database = database
        self.broker = Broker(environment["REDIS_URL"])
        self.videos = Path(environment["OUTPUT_DIR"])
        self.processes: list[Process] = []
        #: How often the provider has accepted each request.
        self.calls: Callable[[], Counter[UUID]] = self._sandbox_calls

    def start_worker(
        self, *, kind: type[Worker] = Worker, concurrency: int = 2, **environment: object
    ) -> Worker:
        """One more worker, ready."""
        given = {name: str(value) for name, value in environment.items()}
        worker = kind(
            {**self.environment, **given}, self._next_log("worker"), concurrency=concurrency
        )
        self.processes.append(worker)
        return worker

    def start_beat(self, **environment: object) -> Process:
        """One more beat."""
        given = {name: str(value) for name, value in environment.items()}
        beat = Process(["beat"], {**self.environment, **given}, self._next_log("beat"))
        self.processes.append(beat)
        return beat

    @property
    def worker(self) -> Worker:
        """The first worker."""
        return next(process for process in self.processes if isinstance(process, Worker))

    @property
    def log(self) -> str:
        """All that any of its processes has said."""
        return "".join(process.log for process in self.processes)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines of all processes."""
        return [line for process in self.processes for line in process.lines]

    def lines_about(self, request_id: UUID) -> list[dict[str, Any]]:
        """What our own code has said of a request, and not of how slow this machine is."""
        return [
            line
            for line in self.lines
            if line.get("request_id") == str(request_id)
            and not line["logger"].startswith("celery.")
            and line["event"] != "slow_query"
        ]

    @cached_property
    def context(self) -> Context:
        """What a worker here works with, for steps that a test takes by itself."""
        settings = self._settings(WorkerSettings)
        return Context(
            settings,
            self.database,
            providers.load(settings),
            storage.load(settings),
            self._settings(DiscordSettings),
        )

    def _settings(self, of: type[S]) -> S:
        given = {name: self.environment.get(name.upper()) for name in of.model_fields}
        return of.model_validate({name: each for name, each in given.items() if each is not None})

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Listen to the workers' events for the block, as Flower does."""
        watch = Watch(self.broker.url)
        try:
            until(lambda: bool(watch.events), what="the workers are heard")
            yield watch
        finally:
            watch.close()

    def inspect(self, *questions: str) -> dict[str, Any]:
        """What each worker answers to these questions, which are those of Flower's worker page."""
        with self.broker.in_use(), app.connection_for_write() as connection:
            workers = sum(isinstance(process, Worker) for process in self.processes)
            inspect = app.control.inspect(connection=connection, timeout=PATIENCE, limit=workers)
            return {question: getattr(inspect, question)() for question in questions}

    def submit(self, *new: NewRequest, reply_to: ReplyTo | None = None) -> list[UUID]:
        """Send new requests on their way, as the bot does."""
        with self.broker.in_use():
            for one in new:
                chain.enqueue(one, reply_to=reply_to)
        return [one.id for one in new]

    def find(self, request_id: UUID) -> Request | None:
        """A request's row."""
        with self.database.autocommit() as conn:
            return requests.get(conn, request_id)

    def row(self, request_id: UUID) -> Request:
        """The row of a request that has one."""
        found = self.find(request_id)
        assert found is not None
        return found

    def rows(self, request_ids: Collection[UUID]) -> list[Request]:
        """The rows of those requests that have one."""
        wanted = select(video_requests).where(video_requests.c.id.in_(request_ids))
        with self.database.autocommit() as conn:
            return [requests.as_request(found) for found in conn.execute(wanted).mappings()]

    def count(self, status: Status) -> int:
        """How many requests stand there."""
        there = select(func.count()).where(video_requests.c.status == status)
        with self.database.autocommit() as conn:
            return int(conn.execute(there).scalar_one())

    def overdue(self, seconds: float) -> int:
        """How many requests should have been looked at this many seconds ago, and were not."""
        since = func.now() - timedelta(seconds=seconds)
        late = select(func.count()).where(leases.ONGOING, video_requests.c.due_at < since)
        with self.database.autocommit() as conn:
            return int(conn.execute(late).scalar_one())

    def events(self, request_id: UUID) -> list[Event]:
        """A request's events."""
        with self.database.autocommit() as conn:
            return events.of_request(conn, request_id)

    def story(self, request_id: UUID) -> list[str]:
        """A request's events in words: the moves by the state they lead to."""
        return [
            str(event.event_data["to"])
            if event.event_type == "status_changed"
            else event.event_type
            for event in self.events(request_id)
        ]

    def wait_for_row(
        self,
        request_id: UUID,
        is_as_wanted: Callable[[Request], bool] = lambda _: True,
        *,
        within: float = PATIENCE,
    ) -> Request:
        """A request's row, once there is one as wanted."""

        def look() -> Request | None:
            found = self.find(request_id)
            return found if found is not None and is_as_wanted(found) else None

        found = until(look, what=f"{request_id} is as wanted", within=within)
        assert found is not None
        return found

    def wait_until_ended(
        self, request_ids: Iterable[UUID], *, within: float = PATIENCE
    ) -> list[Request]:
        """The rows of all these requests, in that order, once every one of them has ended."""
        wanted = list(request_ids)
        found: dict[UUID, Request] = {}

        def all_ended() -> bool:
            found.update((row.id, row) for row in self.rows(wanted))
            return len(found) == len(wanted) and all(row.status.has_ended for row in found.values())

        try:
            until(all_ended, what="all have ended", within=within)
        except AssertionError:
            late = {i: found.get(i) for i in wanted if i not in found or not found[i].completed_at}
            raise AssertionError(f"Not ended after {within:.0f} s: {late}") from None
        return [found[request_id] for request_id in wanted]

    def wait_until_quiet(
        self, *, about: Collection[UUID] | None = None, within: float = PATIENCE
    ) -> None:
        """Until no message is left but sweeps; or none about these requests, in a busy system.

        Of what timed out there is one for a moment, now and then: its video is looked for.
        """
        seen: list[Message] = []

        def is_quiet() -> bool:
            left = self.broker.messages()
            if about is not None:
                left = [each for each in left if not set(about).isdisjoint(each.request_ids)]
            seen[:] = left or seen
            return not left

        try:
            until(lambda: stays(is_quiet, seconds=SETTLED), what="it is quiet", within=within)
        except AssertionError:
            raise AssertionError(f"Left after {within:.0f} s: {seen}") from None

    def _sandbox_calls(self) -> Counter[UUID]:
        """How often the sandbox has accepted each request: what would have been paid for."""
        ledger = (self.videos / ".sandbox").glob("*.json")
        return Counter(UUID(json.loads(path.read_text())["request_id"]) for path in ledger)

    def has_marker(self, request_id: UUID) -> bool:
        """Whether the mark stands that the paid call was about to be made."""
        return (self.videos / str(request_id) / ".claim").exists()

    @contextmanager
    def postgres_away(self) -> Iterator[None]:
        """For the block, Postgres closes its door to everybody, and throws out who is in."""
        url = make_url(self.environment["DATABASE_URL"])
        name = url.database
        address = url.set(database="postgres").render_as_string(hide_password=False)
        with closing(psycopg2.connect(address)) as elsewhere:
            elsewhere.autocommit = True
            with elsewhere.cursor() as cursor:
                # The name is our own, and hexadecimal.
                cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )
                try:
                    yield
                finally:
                    cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    @contextmanager
    def postgres_read_only(self) -> Iterator[None]:
        """For the block, Postgres lets nobody write, as at a failover."""
        url = make_url(self.environment["DATABASE_URL"])
        with closing(psycopg2.connect(url.render_as_string(hide_password=False))) as elsewhere:
            elsewhere.autocommit = True
            with elsewhere.cursor() as cursor:

                def have(value: str) -> None:
                    cursor.execute("SET default_transaction_read_only = off")
                    # The name is our own, and hexadecimal.
                    change = f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = '
                    cursor.execute(change + value)
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )

                have("on")
                try:
                    yield
                finally:
                    have("off")

    def close(self) -> None:
        """Kill whatever runs: nobody will need it again."""
        for process in self.processes:
            process.kill()
        self.broker.close()
        self.database.close()

    def _next_log(self, kind: str) -> Path:
        return self.folder / f"{kind}-{len(self.processes) + 1}.log"


@contextmanager
def new_system(folder: Path, database_url: str, **environment: object) -> Iterator[System]:
    """A system without a process yet. `environment` is what its processes find in theirs.

    Its videos take no time and no user has a limit, unless that says otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        address = stack.enter_context(redis(folder / "redis", durable=False))
        given = {
            "DATABASE_URL": database_url,
            "REDIS_URL": address,
            "OUTPUT_DIR": folder / "videos",
            "LOG_FORMAT": "json",
            "SANDBOX_SECONDS": 0,
            "RESCUE_AFTER_SECONDS": 2,
            "DAILY_LIMIT": 1_000_000,
            **environment,
        }
        strings = {**os.environ, **{name: str(value) for name, value in given.items()}}
        database = Database(DatabaseSettings.model_validate({"database_url": database_url}))
        system = System(folder, strings, database)
        stack.callback(system.close)
        yield system
