"""Limits of buttons, selects and modals (Interactions, "Component Reference")."""

from collections.abc import Iterator
from typing import Any, Final

from tests.e2e.discord.errors import Json
from tests.e2e.discord.rules.checks import (
    Path,
    Problems,
    Rule,
    by_type,
    form,
    items,
    one_of,
    text,
    whole,
)

ROW: Final = 1
BUTTON: Final = 2
STRING_SELECT: Final = 3
TEXT_INPUT: Final = 4
LINK: Final = 5
"""The style of a button that opens an address."""

CUSTOM_ID: Final = text(1, 100)


def _button(value: Json, path: Path, problems: Problems) -> None:
    """A link has an address and no id; every other button the reverse; all have a face."""
    is_link = value.get("style") == LINK
    wanted, unwanted = ("url", "custom_id") if is_link else ("custom_id", "url")
    if not value.get(wanted):
        what = "A url" if is_link else "A custom id"
        code = f"BUTTON_COMPONENT_{wanted.upper()}_REQUIRED"
        problems.add((*path, wanted), code, f"{what} is required")
    if value.get(unwanted):
        message = "A custom id and url cannot both be specified"
        problems.add((*path, unwanted), "BUTTON_COMPONENT_CUSTOM_ID_URL_CONFLICT", message)
    if not value.get("label") and not value.get("emoji"):
        message = "A label or an emoji is required"
        problems.add(path, "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", message)


def _select(value: Json, path: Path, problems: Problems) -> None:
    """Options differ, and no more must be chosen than there are."""
    options = value.get("options") or []
    values = [option.get("value") for option in options if isinstance(option, dict)]
    for number, each in enumerate(values):
        if each in values[:number]:
            message = "The specified option value is already used"
            at = (*path, "options", str(number), "value")
            problems.add(at, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", message)
    low, high = value.get("min_values", 1), value.get("max_values", 1)
    if high > len(options) and value.get("type") == STRING_SELECT:
        message = f"The max values cannot exceed the number of options ({len(options)})"
        at = (*path, "max_values")
        problems.add(at, "SELECT_COMPONENT_MAX_VALUES_EXCEEDS_OPTIONS", message)
    if low > high:
        message = "The min values cannot exceed the max values"
        at = (*path, "min_values")
        problems.add(at, "SELECT_COMPONENT_MIN_VALUES_EXCEEDS_MAX_VALUES", message)


def _row(value: Json, path: Path, problems: Problems) -> None:
    """A select fills its row."""
    kinds = [each.get("type") for each in value.get("components") or [] if isinstance(each, dict)]
    if len(kinds) > 1 and any(kind != BUTTON for kind in kinds):
        message = "The specified component exceeds the maximum width"
        problems.add((*path, "components"), "COMPONENT_LAYOUT_WIDTH_EXCEEDED", message)


_OPTION: Final = form(
    required=["label", "value"],
    label=text(1, 100),
    value=text(1, 100),
    description=text(0, 100),
)
_SELECT: Final[dict[str, Rule]] = {
    "custom_id": CUSTOM_ID,
    "placeholder": text(0, 150),
    "min_values": whole(0, 25),
    "max_values": whole(1, 25),
}
_IN_MESSAGES: Final[dict[int, Rule]] = {
    BUTTON: form(
        _button,
        required=["style"],
        style=one_of(range(1, 6)),
        label=text(0, 80),
        custom_id=CUSTOM_ID,
        url=text(1, 512, r"(?s)(https?|discord)://.+"),
    ),
    STRING_SELECT: form(
        _select, required=["custom_id", "options"], options=items(_OPTION, 25, 1), **_SELECT
    ),
    # Selects of users, roles, both, channels.
    **{kind: form(_select, required=["custom_id"], **_SELECT) for kind in range(5, 9)},
}
_IN_MODALS: Final[dict[int, Rule]] = {
    TEXT_INPUT: form(
        required=["custom_id", "style", "label"],
        custom_id=CUSTOM_ID,
        style=one_of((1, 2)),
        label=text(1, 45),
        min_length=whole(0, 4000),
        max_length=whole(1, 4000),
        value=text(0, 4000),
        placeholder=text(0, 100),
    )
}


def _rows(kinds: dict[int, Rule], width: int) -> Rule:
    inside = items(by_type(kinds), width, 1)
    return by_type({ROW: form(_row, required=["components"], components=inside)})


def leaves(rows: Any) -> Iterator[tuple[Path, Json]]:
    """Every component in the rows, and its path from them."""
    for row_number, row in enumerate(rows if isinstance(rows, list) else []):
        inside = row.get("components") if isinstance(row, dict) else None
        for number, each in enumerate(inside if isinstance(inside, list) else []):
            if isinstance(each, dict):
                yield (str(row_number), "components", str(number)), each


def unique_ids(value: Json, path: Path, problems: Problems) -> None:
    """No two components have the same id."""
    seen = set()
    for at, each in leaves(value.get("components")):
        custom_id = each.get("custom_id")
        if custom_id is not None and custom_id in seen:
            message = "Component custom id cannot be duplicated"
            where = (*path, "components", *at, "custom_id")
            problems.add(where, "COMPONENT_CUSTOM_ID_DUPLICATED", message)
        seen.add(custom_id)


def _value_fits(value: Json, path: Path, problems: Problems) -> None:
    """A text that is filled in beforehand is no longer than what may be entered."""
    for at, each in leaves(value.get("components")):
        high = each.get("max_length") or 4000
        if isinstance(each.get("value"), str) and len(each["value"]) > high:
            where = (*path, "components", *at, "value")
            message = f"Must be {high} or fewer in length."
            problems.add(where, "BASE_TYPE_MAX_LENGTH", message)


ROWS: Final = items(_rows(_IN_MESSAGES, 5), 5)
"""The components of a message."""

MODAL: Final = form(
    unique_ids,
    _value_fits,
    required=["custom_id", "title", "components"],
    custom_id=CUSTOM_ID,
    title=text(1, 45),
    components=items(_rows(_IN_MODALS, 1), 5, 1),
)
