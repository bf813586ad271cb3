"""Rules for bodies of requests, and the tree in which Discord tells all that is wrong at once.

Reference, "Error Messages": `errors` mirrors the body; every node that is wrong has `_errors`, a
list of codes and messages.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from tests.e2e.discord.errors import Json, refusal

Path = tuple[str, ...]


class Problems:
    """All that is wrong with a body."""

    def __init__(self) -> None:
        self.tree: Json = {}

    def add(self, path: Path, code: str, message: str) -> None:
        """Note one."""
        node = self.tree
        for step in path:
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def refuse(self) -> None:
        """Raise the refusal, if there is anything wrong."""
        if self.tree:
            raise refusal(50035, self.tree)


Rule = Callable[[Any, Path, Problems], None]
"""Looks at a value that is there, and notes what is wrong with it."""


def bounds(length: int, low: int, high: int, path: Path, problems: Problems) -> None:
    """Note a wrong length."""
    if low <= length <= high:
        return
    if low:
        message = f"Must be between {low} and {high} in length."
        problems.add(path, "BASE_TYPE_BAD_LENGTH", message)
    else:
        problems.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")


def text(low: int = 0, high: int = 6000, pattern: str | None = None) -> Rule:
    """A string of `low` to `high` characters."""

    def check(value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, str | int | float):
            message = f'Could not interpret "{value}" as string.'
            problems.add(path, "STRING_TYPE_CONVERT", message)
            return
        bounds(len(str(value)), low, high, path, problems)
        if pattern and not re.fullmatch(pattern, str(value)):
            message = "String value did not match validation regex."
            problems.add(path, "STRING_TYPE_REGEX", message)

    return check


def whole(low: int, high: int) -> Rule:
    """A number without a fraction."""

    def check(value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, int):
            problems.add(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        elif value < low:
            message = f"int value should be greater than or equal to {low}."
            problems.add(path, "NUMBER_TYPE_MIN", message)
        elif value > high:
            message = f"int value should be less than or equal to {high}."
            problems.add(path, "NUMBER_TYPE_MAX", message)

    return check


def one_of(allowed: Collection[Any]) -> Rule:
    """One of a few values."""

    def check(value: Any, path: Path, problems: Problems) -> None:
        if value not in allowed:
            listed = ", ".join(str(each) for each in sorted(allowed))
            problems.add(path, "BASE_TYPE_CHOICES", f"Value must be one of {{{listed}}}.")

    return check


def items(rule: Rule, high: int, low: int = 0) -> Rule:
    """A list, each of whose items keeps `rule`."""

    def check(value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return
        bounds(len(value), low, high, path, problems)
        for number, item in enumerate(value):
            rule(item, (*path, str(number)), problems)

    return check


def form(*further: Rule, required: Collection[str] = (), **fields: Rule) -> Rule:
    """An object with such fields, and `further` rules for the whole of it; null means absent."""

    def check(value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, dict):
            message = "Only dictionaries may be used in a ModelType"
            problems.add(path, "MODEL_TYPE_CONVERT", message)
            return
        for name in required:
            if value.get(name) is None:
                problems.add((*path, name), "BASE_TYPE_REQUIRED", "This field is required")
        for name, rule in fields.items():
            if value.get(name) is not None:
                rule(value[name], (*path, name), problems)
        for rule in further:
            rule(value, path, problems)

    return check


def by_type(rules: dict[int, Rule]) -> Rule:
    """An object whose `type` says which rule it keeps."""
    known = form(required=["type"], type=one_of(rules))

    def check(value: Any, path: Path, problems: Problems) -> None:
        known(value, path, problems)
        rule = rules.get(value.get("type", 0)) if isinstance(value, dict) else None
        if rule:
            rule(value, path, problems)

    return check


def enforce(rule: Rule, value: Any, *path: str) -> None:
    """Refuse a value that breaks the rule."""
    problems = Problems()
    rule(value, path, problems)
    problems.refuse()
