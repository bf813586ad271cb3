"""Why Google's safety filter holds a video back: its support codes, in words."""

import re
from collections.abc import Mapping
from typing import Final

CATEGORIES: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "child": ("show a child", (58061214, 17301594)),
    "celebrity": ("show a well-known person", (29310472, 15236754)),
    "dangerous": ("show something dangerous", (62263041,)),
    "hate": ("be hateful", (57734940, 22137204)),
    "sexual": ("be sexual", (90789179, 43188360)),
    "violence": ("show violence", (61493863, 56562880)),
    "third-party content": ("show what belongs to somebody else", (35561574, 35561575)),
    "vulgar": ("be vulgar", (32635315,)),
}
"""What a video may do by the filter's judgement, and the support codes that say so."""

_CODE: Final = re.compile(r"\b\d{8}\b")
_LIST: Final = re.compile(r"(?i)support codes?:[\s\d,.]*")


def codes(text: str) -> list[int]:
    """The support codes that a message of Google's names."""
    return [int(code) for part in _LIST.findall(text) for code in _CODE.findall(part)]


def sentence(found: list[int]) -> str:
    """What the one who asked reads."""
    whats = [what for what, its in CATEGORIES.values() if set(its) & set(found)]
    because = f", because it may {' or '.join(whats)}" if whats else ""
    return f"The safety filter held the video back{because}."


def names(found: list[int]) -> str:
    """The codes for operators, each with its category if it is known."""
    known = {code: name for name, (_, its) in CATEGORIES.items() for code in its}
    return ", ".join(f"{code} ({known.get(code, 'unknown')})" for code in found) or "none"
