"""What a process writes to its log, and what it keeps to itself (LG1, LG2)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until

#: The excerpt that a log may show ends before it.
SECRET = "letter to Persephone-7731"
PROMPT = f"A small boat leaves a quiet harbour at dawn, and a {SECRET}"

#: Fails with a prompt in hand: once by a logger of ours, once by a library's.
FAILING = """
import logging
import sys
import structlog
from db.settings import read
from workers.logs import configure
from workers.settings import LogSettings

def make(prompt):
    raise ValueError("it cannot be drawn")

configure(read(LogSettings))
for logger in (structlog.get_logger("workers.starting"), logging.getLogger("celery.app.trace")):
    try:
        make(sys.stdin.read() or "a kite")
    except ValueError:
        logger.exception("it_failed")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_lg2_a_trace_back_shows_no_local_variable(tmp_path: Path, log_format: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FAILING],
        env={**os.environ, "LOG_FORMAT": log_format},
        cwd=tmp_path,
        input=PROMPT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr.count("it_failed") == 2
    assert found.stderr.count("ValueError: it cannot be drawn") == 2
    assert "in make" in found.stderr
    assert SECRET not in found.stderr
    assert PROMPT[:20] not in found.stderr


def test_lg2_what_celery_and_kombu_say_to_debuggers_stays_unsaid(make_system: MakeSystem) -> None:
    """They print whole messages there, and with them the headers that carry the prompt."""
    system = make_system(LOG_LEVEL="debug")
    worker = system.start_worker()
    system.wait_until_ended(system.submit(new_request(prompt=PROMPT)))
    talkative = {line["logger"].partition(".")[0] for line in worker.lines} & {"celery", "kombu"}
    assert talkative == {"celery"}
    assert not [
        line
        for line in worker.lines
        if line["level"] == "debug"
        and line["logger"].partition(".")[0] in ("celery", "kombu", "amqp")
    ]
    assert SECRET not in worker.log


def test_beat_tells_in_one_line_that_redis_is_away(make_system: MakeSystem) -> None:
    system = make_system()
    beat = system.start_beat()
    until(lambda: system.broker.messages(sweeps=True), what="it sends sweeps")
    system.broker.server().kill()
    until(lambda: "Message Error" in beat.log, what="it cannot send them")
    told = [line for line in beat.lines if line["level"] == "error"]
    assert told
    assert not any("exception" in line or "Traceback" in str(line) for line in told)
    assert max(len(line["event"]) for line in told) < 200
