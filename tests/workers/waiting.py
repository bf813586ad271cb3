"""Waiting for something to be seen, never for time to pass."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

LOOK_EVERY: Final = 0.02
"""Seconds."""
PATIENCE: Final = 30.0
"""Seconds that anything may take on a busy machine, unless a test says otherwise."""

T = TypeVar("T")


def until(
    look: Callable[[], T], *, what: str, within: float = PATIENCE, every: float = LOOK_EVERY
) -> T:
    """What `look` finds, as soon as it finds anything true. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"Waited {within:.0f} s in vain until {what}"
        time.sleep(every)
    return found


def stays(look: Callable[[], bool], *, seconds: float) -> bool:
    """Whether `look` is true at every look for that long."""
    deadline = time.monotonic() + seconds
    while look():
        if time.monotonic() >= deadline:
            return True
        time.sleep(LOOK_EVERY)
    return False
