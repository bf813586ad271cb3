"""The options that say what is asked for, the same wherever something can be."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import click

if TYPE_CHECKING:
    from db.records import NewRequest

LOCAL = "cli"
"""Guild, channel and user of what is asked for on the command line (RT1)."""


F = TypeVar("F", bound=Callable[..., Any])


class Folder(click.Path):
    """A folder, there or not. An empty name, as of an unset variable, would be the working one."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Take it, unless it is empty."""
        if value == "":
            self.fail("it is empty; . is the folder in which you are.", param, ctx)
        return super().convert(value, param, ctx)


def request_options(command: F) -> F:
    """Add PROMPT and the parameters of the video to a command."""
    for add in (
        click.option(
            "--seed", type=int, help="The same number and words give nearly the same video."
        ),
        click.option("--negative-prompt", help="What is not to be seen or heard."),
        click.option("--model", help="Who makes it. [default: the provider's usual one]"),
        click.option(
            "--audio/--no-audio", "generate_audio", default=True, help="With sound, or without."
        ),
        click.option("--resolution", default="720p", show_default=True, help="720p or 1080p."),
        click.option("--aspect-ratio", default="16:9", show_default=True, help="16:9 or 9:16."),
        click.option(
            "--duration",
            "duration_seconds",
            type=int,
            default=4,
            show_default=True,
            help="4, 6 or 8 seconds.",
        ),
        click.argument("prompt"),
    ):
        command = add(command)
    return command


def new_request(
    prompt: str,
    *,
    duration_seconds: int,
    aspect_ratio: str,
    resolution: str,
    generate_audio: bool,
    model: str | None = None,
    negative_prompt: str | None = None,
    seed: int | None = None,
    request_id: UUID | None = None,
    user: str = LOCAL,
    guild: str = LOCAL,
    channel: str = LOCAL,
) -> "NewRequest":
    """A valid new request; raises InvalidRequest."""
    from db.records import NewRequest
    from db.validation import validate

    request = NewRequest(
        id=request_id or uuid4(),
        user_id=user,
        guild_id=guild,
        channel_id=channel,
        prompt=prompt,
        duration_seconds=duration_seconds,
        aspect_ratio=aspect_ratio,
        resolution=resolution,
        generate_audio=generate_audio,
        model=model,
        negative_prompt=negative_prompt,
        seed=seed,
    )
    validate(request)
    return request


def check_names(**names: str) -> None:
    """Raise InvalidRequest for what cannot be a user's or a guild's id."""
    from db.validation import validate_name

    for what, name in names.items():
        validate_name(what, name)
