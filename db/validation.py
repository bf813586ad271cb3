"""What a request may ask for, and one clear sentence for everything it may not."""

import unicodedata
from typing import Final

from db.records import NewRequest

DURATIONS: Final = (4, 6, 8)
"""Seconds."""
ASPECT_RATIOS: Final = ("16:9", "9:16")
RESOLUTIONS: Final = ("720p", "1080p")
PROMPT_LENGTH: Final = range(5, 601)
"""Characters."""
NEGATIVE_PROMPT_LENGTH: Final = range(1, 601)
"""Characters."""
SEEDS: Final = range(2**32)
NAME_LENGTH: Final = range(1, 101)
"""Characters of a user's, guild's or channel's id; Discord's have up to 20."""


class InvalidRequest(ValueError):
    """A request that cannot be taken on. The message is for the one who asked."""


def validate(request: NewRequest) -> None:
    """Raise InvalidRequest with every problem of `request`, a sentence each."""
    problems = [
        *_prompt_problems(request.prompt),
        *_negative_prompt_problems(request.negative_prompt),
        *_seed_problems(request.seed),
        *_choice_problems("duration", request.duration_seconds, DURATIONS, unit=" seconds"),
        *_choice_problems("aspect ratio", request.aspect_ratio, ASPECT_RATIOS),
        *_choice_problems("resolution", request.resolution, RESOLUTIONS),
    ]
    for what in ("user", "guild", "channel"):
        problems += _name_problems(what, getattr(request, f"{what}_id"))
    if problems:
        raise InvalidRequest(" ".join(problems))


def _prompt_problems(prompt: str) -> list[str]:
    shortest, longest = PROMPT_LENGTH[0], PROMPT_LENGTH[-1]
    # Blanks around it make a prompt longer, but not long enough.
    length = len(prompt.strip())
    if length >= shortest:
        length = len(prompt)
    if length not in PROMPT_LENGTH:
        return [
            f"The prompt must have {shortest} to {longest} characters; this one has {length}.",
        ]
    return _unprintable_problems("prompt", prompt, allowed="\n\r\t")


def _negative_prompt_problems(prompt: str | None) -> list[str]:
    if prompt is None:
        return []
    shortest, longest = NEGATIVE_PROMPT_LENGTH[0], NEGATIVE_PROMPT_LENGTH[-1]
    if not prompt.strip() or len(prompt) not in NEGATIVE_PROMPT_LENGTH:
        return [
            f"The negative prompt must have {shortest} to {longest} characters; "
            f"this one has {len(prompt) if prompt.strip() else 0}."
        ]
    return _unprintable_problems("negative prompt", prompt, allowed="\n\r\t")


def _seed_problems(seed: int | None) -> list[str]:
    if seed is None or seed in SEEDS:
        return []
    return [f"The seed must be a whole number from {SEEDS[0]} to {SEEDS[-1]}, not {seed}."]


def is_snowflake(name: str) -> bool:
    """Whether this is an id of Discord's; those of the command line are words.

    ``db.transitions`` asks the same of rows.
    """
    return name.isascii() and name.isdigit() and len(name) <= 20


def validate_name(what: str, name: str) -> None:
    """Raise InvalidRequest if `name` cannot be a user's, guild's or channel's id."""
    if problems := _name_problems(what, name):
        raise InvalidRequest(" ".join(problems))


def _name_problems(what: str, name: str) -> list[str]:
    if not name.strip() or len(name) not in NAME_LENGTH:
        return [
            f"The {what} must have {NAME_LENGTH[0]} to {NAME_LENGTH[-1]} characters; "
            f"this one has {len(name.strip())}."
        ]
    return _unprintable_problems(what, name)


def _unprintable_problems(what: str, text: str, *, allowed: str = "") -> list[str]:
    """NUL and lone surrogates cannot be stored; other control characters garble a terminal."""
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
            return [
                f"The {what} must be plain text; character {position} of it "
                f"(U+{ord(character):04X}) cannot be written."
            ]
    return []


def _choice_problems(
    what: str, value: object, choices: tuple[object, ...], *, unit: str = ""
) -> list[str]:
    if value in choices:
        return []
    named = [str(choice) for choice in choices]
    shown = str(value).encode("unicode_escape").decode()[:40]
    return [f"The {what} must be {', '.join(named[:-1])} or {named[-1]}{unit}, not {shown}."]
