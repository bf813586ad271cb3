"""``video-bot demo``: the whole system on this machine, for one video."""

import shutil
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import click

from bot.cli.errors import BAD_INPUT, UNFINISHED, CommandFailed
from bot.cli.options import new_request, request_options

ADMISSION_WAIT: Final = 60.0
"""Seconds the worker has to start and to take the request on, on a very slow machine."""


@click.command()
@request_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put a copy of the video here.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep database and videos here. [default: video-bot/demo, where data belongs]",
)
def demo(prompt: str, output: Path | None, folder: Path | None, **asked: Any) -> None:
    """Make a video of PROMPT with the whole system, on this machine alone.

    It starts PostgreSQL, Redis and a worker of its own, sends the prompt through the real chain,
    shows each step, and stops everything again. The video comes from the sandbox, which costs
    nothing: it draws a title card of what was asked. The next demo finds the history of this one.
    """
    new = new_request(prompt, **asked)
    if output is not None and not output.absolute().parent.is_dir():
        raise CommandFailed(f"There is no folder {output.absolute().parent}", BAD_INPUT)

    from bot.cli import local
    from bot.cli.admission import check_limit, wait_for_row
    from bot.cli.show import Steps, follow, show_history, show_result
    from db.engine import Database
    from db.settings import DatabaseSettings, read, require
    from workers.chain import enqueue
    from workers.logs import configure
    from workers.settings import LogSettings, WorkerSettings

    # Whatever the environment names, the demo has servers, a provider and a folder of its own.
    own = {"VIDEO_PROVIDER": "sandbox", "VIDEO_STORAGE": "folder"}
    brought = {*own, "DATABASE_URL", "REDIS_URL", "OUTPUT_DIR"}
    require(DatabaseSettings, WorkerSettings, LogSettings, brought=brought)
    configure(read(LogSettings), level="warning")
    steps = Steps()
    with ExitStack() as stack:
        wanted = folder or local.home() / "demo"
        place = stack.enter_context(local.free_folder(wanted, report=steps.say))
        steps.say(f"Everything of this demo is kept in {place}")
        environment = stack.enter_context(local.servers(place, given=own, report=steps.done))
        settings = read(WorkerSettings)
        database = stack.enter_context(closing(Database(read(DatabaseSettings))))
        check_limit(database, new, settings)
        log = place / "worker.log"
        with log.open("wb") as lines:
            worker = stack.enter_context(
                local.process("worker", environment, stdout=lines, stderr=lines)
            )
        enqueue(new)
        request = wait_for_row(
            database,
            new,
            settings,
            seconds=ADMISSION_WAIT,
            check=lambda: _check_alive(worker, log),
        )
        if request is None:
            raise CommandFailed(f"The worker took nothing up; {log} may tell why")
        steps.done("The worker has taken the request on")
        request = follow(
            steps,
            database,
            request,
            expected_seconds=settings.sandbox_seconds,
            check=lambda: _check_alive(worker, log),
        )
        video = show_result(steps, request)
        if video is not None and output is not None:
            _copy(video, output)
            steps.say(f"A copy is at {output.absolute()}")
        show_history(steps, database, request)
    if request.error_message:
        raise CommandFailed(f"{request.status}: {request.error_message}", UNFINISHED)


def _copy(video: Path, output: Path) -> None:
    try:
        shutil.copyfile(video, output)
    except OSError as error:
        raise CommandFailed(f"There is no copy at {output}: {error.strerror}") from None


def _check_alive(worker: Popen[bytes], log: Path) -> None:
    if worker.poll() is not None:
        last = log.read_text(errors="replace").splitlines()[-5:]
        raise CommandFailed("\n".join([f"The worker died; {log} ends with:", *last]))
