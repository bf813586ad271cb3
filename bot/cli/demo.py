"""``video-bot demo``: the whole system on this machine, for one video."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import click

from bot.cli import interruptions
from bot.cli.errors import BAD_INPUT, FAILED, UNFINISHED, CommandFailed
from bot.cli.options import Folder, new_request, request_options

if TYPE_CHECKING:
    from db.records import NewRequest, Request
    from workers.providers import Provider
    from workers.settings import WorkerSettings

ADMISSION_WAIT: Final = 60.0
"""Seconds the worker has to start and to take the request on, on a very slow machine."""
STORAGES: Final = {"sandbox": "folder", "veo": "gcs"}
"""Where each provider writes to."""


@click.command()
@request_options
@click.option(
    "--provider",
    "provider_name",
    type=click.Choice([*STORAGES]),
    default="sandbox",
    show_default=True,
    help="Who makes it: the sandbox, for nothing, or Veo, for money.",
)
@click.option("--yes", is_flag=True, help="Pay what it costs without being asked.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put a copy of the video here.",
)
@click.option(
    "--folder",
    type=Folder(),
    help="Keep database and videos here. [default: video-bot/demo, where data belongs]",
)
def demo(
    *,
    prompt: str,
    provider_name: str,
    yes: bool,
    output: Path | None,
    folder: Path | None,
    **asked: Any,
) -> None:
    """Make a video of PROMPT with the whole system, on this machine alone.

    It starts PostgreSQL, Redis and a worker of its own, sends the prompt through the real chain,
    shows each step, and stops everything again. The video comes from the sandbox, which costs
    nothing: it draws a title card of what was asked. The next demo finds the history of this one.

    With --provider veo it is a real one, made on Vertex AI and fetched from GCS_BUCKET, which
    GOOGLE_CLOUD_PROJECT pays: what it costs is told, and asked for, before anything is started.
    """
    new = new_request(prompt, **asked)
    if output is not None and not output.absolute().parent.is_dir():
        raise CommandFailed(f"There is no folder {output.absolute().parent}", BAD_INPUT)

    from bot.cli import local
    from bot.cli.admission import check_limit, priced, wait_for_row
    from bot.cli.home import home
    from bot.cli.show import Steps, follow, show_history, show_row, show_video
    from db.engine import Database
    from db.settings import DatabaseSettings, read, require
    from workers import providers
    from workers.chain import enqueue
    from workers.logs import configure
    from workers.settings import LogSettings, WorkerSettings

    # Whatever the environment names, the demo has servers, a provider and a folder of its own.
    named = os.environ.get("VIDEO_PROVIDER") or provider_name
    if provider_name == "sandbox" and named != provider_name:
        click.echo(
            f"VIDEO_PROVIDER={named} does not count here: the sandbox draws it, for nothing; "
            f"--provider {named} is for a real one.",
            err=True,
        )
    own = {"VIDEO_PROVIDER": provider_name, "VIDEO_STORAGE": STORAGES[provider_name]}
    os.environ.update(own)
    brought = {"DATABASE_URL", "REDIS_URL", "OUTPUT_DIR"}
    require(DatabaseSettings, WorkerSettings, LogSettings, brought=brought)
    # What a library has to say until then, one sentence of ours says.
    configure(read(LogSettings), level="critical")
    provider = providers.load(WorkerSettings.model_validate({"redis_url": "redis://brought"}))
    new = priced(new, provider)
    if provider_name != "sandbox":
        _agree(provider, new, is_agreed=yes)
    configure(read(LogSettings), level="warning")
    steps = Steps()
    with ExitStack() as stack:
        # What one provider has begun, another could not follow.
        usual = "demo" if provider_name == "sandbox" else f"demo-{provider_name}"
        wanted = folder or home(steps.say) / usual
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
        with _told_if_interrupted():
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
            is_known = provider_name == "sandbox"
            request = follow(
                steps,
                database,
                request,
                seconds=settings.sandbox_seconds
                if is_known
                else settings.generation_timeout_seconds,
                is_known=is_known,
                check=lambda: _check_alive(worker, log),
            )
        show_row(steps, request)
        if request.video_urls:
            video = _fetched(settings, request, place)
            show_video(steps, video)
            if output is not None:
                _copy(video, output)
                steps.say(f"A copy is at {output.absolute()}")
        show_history(steps, database, request)
    if request.error_message:
        raise CommandFailed(f"{request.status}: {request.error_message}", UNFINISHED)


@contextmanager
def _told_if_interrupted() -> Iterator[None]:
    """Say what becomes of a request whose demo is interrupted in the block."""
    try:
        yield
    except BaseException:
        if interruptions.were_received():
            click.echo("Stopped. The next demo goes on with this video.", err=True)
        raise


def _agree(provider: "Provider", new: "NewRequest", *, is_agreed: bool) -> None:
    """Go on only if somebody agrees to what it costs. Raises CommandFailed."""
    from bot import words
    from workers import retirement
    from workers.providers import NotReady

    try:
        provider.probe()
    except NotReady as error:
        reason = str(error).removesuffix(".")
        status = BAD_INPUT if error.is_setting else FAILED
        raise CommandFailed(f"{reason}: {error.remedy}", status) from None
    model, cost = new.model or provider.model, words.dollars(new.cost_usd or provider.price(new))
    sentence = f"{new.duration_seconds} seconds of video by {model} cost {cost} of real money"
    if ends := retirement.warning(provider, of=model):
        click.echo(ends, err=True)
    if is_agreed:
        click.echo(f"{sentence}.", err=True)
    elif not sys.stdin.isatty():
        raise CommandFailed(f"{sentence}: --yes agrees to that. Nothing was started", BAD_INPUT)
    elif not click.confirm(f"{sentence}. Make it?", err=True):
        raise CommandFailed("Nothing was started")


def _fetched(settings: "WorkerSettings", request: "Request", place: Path) -> Path:
    """The video as a file of this machine."""
    from workers import storage
    from workers.storage import StorageUnavailable

    [address, *_] = request.video_urls or ()
    if address.startswith("file://"):
        return Path(unquote(urlsplit(address).path))
    path = place / "videos" / f"{request.id}.mp4"
    try:
        path.parent.mkdir(exist_ok=True)
        with storage.load(settings).open(address) as video, path.open("wb") as file:
            shutil.copyfileobj(video, file)
    except StorageUnavailable as error:
        raise CommandFailed(
            f"The video is at {address}, and could not be fetched: {error}"
        ) from None
    return path


def _copy(video: Path, output: Path) -> None:
    try:
        shutil.copyfile(video, output)
    except OSError as error:
        raise CommandFailed(f"There is no copy at {output}: {error.strerror}") from None


def _check_alive(worker: Popen[bytes], log: Path) -> None:
    if worker.poll() is not None:
        last = log.read_text(errors="replace").splitlines()[-5:]
        raise CommandFailed("\n".join([f"The worker died; {log} ends with:", *last]))
