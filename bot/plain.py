"""What programs are told: records as JSON."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def as_json(value: object) -> str:
    """`value` as one line of ASCII, whatever a prompt in it may hold."""
    return json.dumps(plain(value))


def plain(value: object) -> Any:
    """`value` as JSON knows it.

    A record is an object of its fields and of what it derives from them; a time is ISO 8601 in
    UTC; an amount of money is a string, for it is exact; an id is a string.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case str() | UUID() | Decimal():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case Sequence():
            return [plain(each) for each in value]
    if not is_dataclass(value):
        raise TypeError(f"There is no JSON for {type(value).__name__}")
    derived = inspect.getmembers(type(value), lambda member: isinstance(member, property))
    names = [field.name for field in fields(value)] + [name for name, _ in derived]
    return {name: plain(getattr(value, name)) for name in names}
