"""What tells why a request was lost or doubled, in a folder for whoever looks for the cause."""

import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.faults.asking import Asked
from tests.faults.stage import Befallen, Stage

AROUND: Final = 60.0
"""Seconds before and after it was asked for: an accident then may have to do with it."""
_STAMP: Final = re.compile(r'"timestamp": "[^"]+T([^"]+)"')


def keep(stage: Stage, wrong: Mapping[Asked, Sequence[str]]) -> Path:
    """The logs of all processes, when each accident was, and a file for each of these requests with
    what is wrong with it. The folder stays."""
    folder = Path(tempfile.mkdtemp(prefix="video-bot-lost-"))
    for log in stage.system.folder.glob("*.log"):
        shutil.copy(log, folder)
    _write(folder / "accidents.txt", map(_told, stage.accidents))
    for one, complaints in wrong.items():
        _write(folder / f"{one.id}.txt", _all_about(one, complaints, stage, folder))
    return folder


def _all_about(one: Asked, wrong: Sequence[str], stage: Stage, folder: Path) -> Iterator[str]:
    answer = one.answer
    yield f"{one.prompt}: request {one.id}, interaction {answer.id}, user {one.person.id}"
    yield from wrong
    yield "\nWhat who asked has seen"
    yield f"{_moment(answer.sent)} it is asked for"
    if answer.answered is not None:
        yield f"{_moment(answer.answered)} {answer.callback!r}"
    for version in answer.original.versions if answer.original else ():
        said = "..." if version.is_loading else version.content
        yield f"{_moment(version.monotonic)} {said}"
    yield "\nWhat Discord was asked"
    for entry in stage.discord.ledger.entries():
        if answer.token in entry.path:
            took = "" if entry.seconds is None else f" after {entry.seconds:.2f} s"
            yield f"{_moment(entry.at)} {entry.route}: {entry.status} {entry.code or ''}{took}"
    yield f"\nRow and events; Google has begun {stage.google.vertex.taken()[one.id]}"
    yield str(stage.system.find(one.id))
    for event in stage.system.events(one.id):
        yield f"{event.created_at:%H:%M:%S.%f} {event.event_type} {event.event_data}"
    yield "\nAccidents around it"
    for each in stage.accidents:
        if each.begun < answer.sent + AROUND and each.over > answer.sent - AROUND:
            yield _told(each)
    yield "\nWhat was said of it"
    yield from sorted(_said(folder, [str(one.id), str(answer.id)]))


def _said(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """The lines that have one of these names, in all logs."""
    for log in folder.glob("*.log"):
        for line in log.read_text().splitlines():
            if any(name in line for name in names):
                stamp = _STAMP.search(line)
                yield f"{stamp[1] if stamp else ''} {log.stem} {line}"


def _told(accident: Befallen) -> str:
    return f"{_moment(accident.begun)} to {_moment(accident.over)} {accident.name}"


def _moment(monotonic: float) -> str:
    """As logs tell it."""
    at = datetime.fromtimestamp(time.time() - time.monotonic() + monotonic, UTC)
    return f"{at:%H:%M:%S.%f}"


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
