"""What a system takes of a machine: processors and memory, of each of its parts."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil
from sqlalchemy import text

from tests.workers.harness import System
from tests.workers.running import Worker

MEBIBYTE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one part, over some time."""

    #: Processors kept busy, on average.
    cores: float
    #: MiB at the end, pages that processes share told once.
    memory: float


def parts(system: System) -> dict[str, list[psutil.Process]]:
    """The processes of each part; of the workers their pools too."""
    with system.database.autocommit() as conn:
        [own] = conn.execute(text("SELECT pg_backend_pid()")).scalars()
    workers = [psutil.Process(each.pid) for each in system.processes if isinstance(each, Worker)]
    return {
        "workers": [process for each in workers for process in _family(each)],
        "Postgres": _family(psutil.Process(own).parents()[0]),
        "Redis": [system.broker.server()],
    }


def begin(system: System) -> Callable[[], Mapping[str, Usage]]:
    """Begin to look; what it returns tells of the time since."""
    begun = time.monotonic()
    before = {name: _seconds(of) for name, of in parts(system).items()}

    def end() -> Mapping[str, Usage]:
        took = time.monotonic() - begun
        return {
            name: Usage((_seconds(of) - before[name]) / took, _memory(of))
            for name, of in parts(system).items()
        }

    return end


def told(usage: Mapping[str, Usage]) -> str:
    """In a line."""
    return "; ".join(
        f"{name} {each.cores:.2f} cores, {each.memory:.0f} MiB" for name, each in usage.items()
    )


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _seconds(processes: list[psutil.Process]) -> float:
    spent = 0.0
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            # Those of ended children too: sessions of Postgres come and go.
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def _memory(processes: list[psutil.Process]) -> float:
    found = 0
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            found += each.memory_full_info().pss
    return found / MEBIBYTE
