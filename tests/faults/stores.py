"""What befalls Redis and Postgres: they freeze, forget, end, come back, and take nobody in."""

import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from signal import Signals
from typing import Final

import psutil
import psycopg2
from redis import Redis

from tests.faults.servers import CONNECTIONS, FAST, IMMEDIATE, Server, forget
from tests.faults.stage import TIMEOUT, Stage

FROZEN: Final = 7.0
"""Seconds: longer than any wait for an answer of Postgres, and than a person waits for Redis."""
LONG_FROZEN: Final = 15.0
"""Seconds: longer than a worker waits for an answer of Redis."""
AWAY: Final = 5.0
LONG_AWAY: Final = 65.0
"""Seconds: longer than anything of ours may take."""
OUTLIVED: Final = TIMEOUT + 5.0
"""Seconds: longer than a request."""
THROWING_OUT: Final = 12.0
FULL: Final = 10.0
CROWDED: Final = 15.0
"""Seconds for which somebody has all connections: longer than anybody waits for one."""


def redis_forgets(stage: Stage) -> None:
    """FLUSHALL."""
    stage.system.broker.flush()


def redis_freezes(stage: Stage) -> None:
    """It takes connections, and answers nobody."""
    _freeze(stage.redis, FROZEN)


def redis_freezes_for_long(stage: Stage) -> None:
    """The same, until workers give it up."""
    _freeze(stage.redis, LONG_FROZEN)


def redis_is_restarted(stage: Stage) -> None:
    """SIGKILL, and it comes back with what it had, as compose has it."""
    _restart(stage.redis)


def redis_is_restarted_empty(stage: Stage) -> None:
    """SIGKILL, and it comes back with nothing."""
    _restart(stage.redis, meanwhile=lambda: forget(stage.redis))


def redis_is_away(stage: Stage) -> None:
    """For more than a minute."""
    _restart(stage.redis, meanwhile=lambda: time.sleep(LONG_AWAY))


def redis_throws_out(stage: Stage) -> None:
    """It closes every connection, again and again."""
    until = time.monotonic() + THROWING_OUT
    with closing(Redis.from_url(stage.redis.url)) as client:
        while time.monotonic() < until:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
            time.sleep(0.2)


def redis_is_full(stage: Stage) -> None:
    """It has no memory left, and refuses to write."""
    with stage.system.broker.full():
        time.sleep(FULL)


def postgres_freezes(stage: Stage) -> None:
    """All of its processes."""
    _freeze(stage.postgres, FROZEN)


def postgres_throws_out(stage: Stage) -> None:
    """It closes every connection."""
    with closing(psycopg2.connect(stage.postgres.url)) as connection:
        connection.autocommit = True
        _throw_out(connection)


def postgres_is_restarted(stage: Stage) -> None:
    """Fast: what is under way is rolled back, and all is written."""
    _restart(stage.postgres, number=FAST)


def postgres_dies(stage: Stage) -> None:
    """Immediately: it recovers from its log."""
    _restart(stage.postgres, number=IMMEDIATE, meanwhile=lambda: time.sleep(AWAY))


def postgres_is_away(stage: Stage) -> None:
    """For longer than a request may take."""
    _restart(stage.postgres, number=FAST, meanwhile=lambda: time.sleep(OUTLIVED))


def postgres_is_full(stage: Stage) -> None:
    """Somebody holds all connections that there are, and nobody else gets one."""
    held = [psycopg2.connect(stage.postgres.url)]
    held[0].autocommit = True
    try:
        # Whoever is thrown out wants to come back at once.
        while len(held) < CONNECTIONS:
            _throw_out(held[0], [each.info.backend_pid for each in held])
            with suppress(psycopg2.OperationalError):
                while True:
                    held.append(psycopg2.connect(stage.postgres.url))
        time.sleep(CROWDED)
    finally:
        for each in held:
            each.close()


def _throw_out(connection: psycopg2.extensions.connection, spared: list[int] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ="
            " 'client backend' AND pid <> pg_backend_pid() AND pid <> ALL(%s)",
            [spared or []],
        )


def _restart(
    server: Server,
    *,
    number: Signals = signal.SIGKILL,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    server.stop(number)
    meanwhile()
    server.start()


def _freeze(server: Server, seconds: float) -> None:
    everybody = server.everybody()
    for each in everybody:
        with suppress(psutil.NoSuchProcess):
            each.suspend()
    time.sleep(seconds)
    for each in everybody:
        with suppress(psutil.NoSuchProcess):
            each.resume()
