"""A whole system on this machine: the folder it lives in, its servers, its processes."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from subprocess import Popen
from typing import IO, Final

from bot.cli.errors import CommandFailed
from db import processes
from db.embedded import postgres
from db.embedded_server import FolderInUse, held, make_folder
from workers.embedded import redis

#: Seconds a process has to shut down: a worker lets its tasks end, the longest of them a minute.
SHUTDOWN: Final = 65.0


@contextmanager
def free_folder(preferred: Path, *, report: Callable[[str], object]) -> Iterator[Path]:
    """`preferred`, or the first of its numbered neighbours that no other local system uses.

    `report` is told when it is a neighbour.
    """
    preferred = preferred.absolute()
    for number in count(1):
        name = preferred.name if number == 1 else f"{preferred.name}-{number}"
        folder = make_folder(preferred.with_name(name))
        with ExitStack() as stack:
            try:
                stack.enter_context(held(folder / "system.lock"))
            except FolderInUse:
                if number == 100:
                    raise
                continue
            if number > 1:
                report(
                    f"{preferred} is in use by another running system; "
                    f"this one has data of its own, in {folder}"
                )
            yield folder
            return


@contextmanager
def servers(
    folder: Path, given: Mapping[str, str], *, report: Callable[[str], object]
) -> Iterator[Mapping[str, str]]:
    """Postgres and Redis for the block: those that `given` names, and embedded ones otherwise.

    The database is migrated. `report` is told of each step in a few words. What comes of it is
    the environment for the processes that use them, which is this process's own too: with all
    that is `given`, and with the videos in `folder` if it says nothing of them.
    """
    from db import migrate
    from db.settings import DatabaseSettings, read

    with ExitStack() as stack:
        environment = {**os.environ, "OUTPUT_DIR": str(folder / "videos"), **given}
        if "DATABASE_URL" not in given:
            environment["DATABASE_URL"] = stack.enter_context(postgres(folder))
            report("PostgreSQL is up")
        if "REDIS_URL" not in given:
            environment["REDIS_URL"] = stack.enter_context(redis(folder))
            report("Redis is up")
        os.environ.update(environment)
        if "REDIS_URL" in given:
            _require_redis()
        migrate.migrate(read(DatabaseSettings).url, write=lambda _line: None)
        report("The database is migrated")
        yield environment


def _require_redis() -> None:
    """Raise CommandFailed where it is not there: whoever starts all this waits for no operator."""
    from db.settings import read
    from workers import broker, remedies
    from workers.checks import BROKER_PATIENCE
    from workers.errors import BrokerUnavailable
    from workers.settings import BrokerSettings

    address = read(BrokerSettings).redis_url.get_secret_value()
    try:
        broker.server(address, patience=BROKER_PATIENCE)
    except BrokerUnavailable as error:
        reason = str(error).rstrip(".")
        raise CommandFailed(f"{reason}. {remedies.of_redis(reason)}.") from None


@contextmanager
def process(
    command: str,
    environment: Mapping[str, str],
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> Iterator[Popen[bytes]]:
    """One of our own long-running commands, for the block."""
    argv = [sys.executable, "-m", "bot.cli", command]
    child = processes.spawn(argv, env=environment, stdout=stdout, stderr=stderr)
    try:
        yield child
    finally:
        processes.stop(child, grace=SHUTDOWN)
