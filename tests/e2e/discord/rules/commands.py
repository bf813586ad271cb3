"""Limits of application commands (Interactions, "Application Commands")."""

from typing import Any, Final

from tests.e2e.discord.errors import Json
from tests.e2e.discord.rules.checks import (
    Path,
    Problems,
    Rule,
    form,
    items,
    one_of,
    text,
    whole,
)

SUB_COMMAND: Final = 1
GROUP: Final = 2
STRING: Final = 3
INTEGER: Final = 4
NUMBER: Final = 10
ALL_TEXT: Final = 8000
"""Characters of all names, descriptions and values of a command together."""

_NAME: Final = text(1, 32, r"[-_'\w]{1,32}")
"""Letters and numbers of every script, as `\\p{L}\\p{N}`."""


_PYTHON: Final[dict[int, tuple[type, ...]]] = {
    STRING: (str,),
    INTEGER: (int,),
    NUMBER: (int, float),
}
"""Types of a choice's value."""


def _lower_case(value: Json, path: Path, problems: Problems) -> None:
    name = value.get("name")
    if isinstance(name, str) and name != name.lower():
        message = "Command name is invalid"
        problems.add((*path, "name"), "APPLICATION_COMMAND_INVALID_NAME", message)


def _options(value: Json, path: Path, problems: Problems) -> None:
    """Names differ; what must be given comes first."""
    options = [each for each in value.get("options") or [] if isinstance(each, dict)]
    seen, optional = set(), False
    for number, option in enumerate(options):
        at = (*path, "options", str(number))
        if option.get("name") in seen:
            code = "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS"
            problems.add((*at, "name"), code, "Option name already exists")
        seen.add(option.get("name"))
        if option.get("required") and optional:
            code = "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"
            message = "Required options must be placed before non-required options"
            problems.add(at, code, message)
        optional = optional or not option.get("required")


def _choices(value: Json, path: Path, problems: Problems) -> None:
    """Values are of the option's type and differ; strings are short."""
    wanted = _PYTHON.get(value.get("type", 0), ())
    seen = set()
    for number, choice in enumerate(value.get("choices") or []):
        at = (*path, "choices", str(number), "value")
        given = choice.get("value") if isinstance(choice, dict) else None
        if not isinstance(given, wanted):
            problems.add(at, "BASE_TYPE_CONVERT", f'Could not convert "{given}".')
        elif isinstance(given, str) and not 1 <= len(given) <= 100:
            problems.add(at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
        if given in seen:
            code = "APPLICATION_COMMAND_OPTIONS_CHOICE_VALUE_ALREADY_EXISTS"
            problems.add(at, code, "Option choice value already exists")
        seen.add(given)
    if value.get("choices") and value.get("autocomplete"):
        code = "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID"
        problems.add(path, code, "Options with choices cannot have autocomplete")


CHOICE: Final = form(required=["name", "value"], name=text(1, 100))
CHOICES: Final = items(CHOICE, 25)


def _inner_options(value: Any, path: Path, problems: Problems) -> None:
    items(OPTION, 25)(value, path, problems)


OPTION: Final[Rule] = form(
    _lower_case,
    _options,
    _choices,
    required=["type", "name", "description"],
    type=one_of(range(1, 12)),
    name=_NAME,
    description=text(1, 100),
    choices=CHOICES,
    options=_inner_options,
    min_length=whole(0, 6000),
    max_length=whole(1, 6000),
)
_CHAT_INPUT: Final = form(
    _lower_case,
    _options,
    required=["name", "description"],
    name=_NAME,
    description=text(1, 100),
    options=_inner_options,
)
_CONTEXT_MENU: Final = form(required=["name"], name=text(1, 32), description=text(0, 0))


def all_text(value: Json) -> int:
    """The characters of a command that count together."""
    return (
        len(value.get("name") or "")
        + len(value.get("description") or "")
        + len(str(value.get("value") or ""))
        + sum(all_text(each) for key in ("options", "choices") for each in value.get(key) or [])
    )


def check_command(value: Any, path: Path, problems: Problems) -> None:
    """A command, by its type; no type means a slash command."""
    form(type=one_of((1, 2, 3)))(value, path, problems)
    is_slash = not isinstance(value, dict) or value.get("type", 1) == 1
    (_CHAT_INPUT if is_slash else _CONTEXT_MENU)(value, path, problems)
    if not problems.tree and all_text(value) > ALL_TEXT:
        message = f"Command exceeds maximum size ({ALL_TEXT})"
        problems.add(path, "APPLICATION_COMMAND_TOO_LARGE", message)
