"""How checks are made: side by side, each told with its remedy, and for no longer than a bound."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from db.settings import SettingsError
from workers.logs import redact

WITHIN: Final = 15.0
"""Seconds for everything."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing stands. What is ok and has a remedy all the same will not be for ever.

    `ok` is None where it could not be looked at.
    """

    name: str
    ok: bool | None
    detail: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Well:
    """It is there, as `detail` tells."""

    detail: str
    remedy: str | None = None


class Wrong(Exception):
    """It is not, and what to do about it. Of `is_ours` every word is our own, and no secret."""

    def __init__(self, detail: str, remedy: str, *, is_ours: bool = False) -> None:
        super().__init__(detail)
        self.remedy = remedy
        self.is_ours = is_ours


class NotLookedAt(Exception):
    """It could not be looked at, for a reason that another finding tells, and what to see to."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.remedy = remedy


Look = Callable[[], Well]


def look(looks: Mapping[str, Look], *, within: float = WITHIN) -> list[Finding]:
    """What is found, in the order of the names; never raises, and takes no longer."""
    found: dict[str, Finding] = {}

    def work(name: str) -> None:
        found[name] = _found(name, looks[name])

    # Daemons, so that one that hangs does not keep the process from ending.
    threads = [threading.Thread(target=work, args=[name], daemon=True) for name in looks]
    deadline = time.monotonic() + within
    for each in threads:
        each.start()
    for each in threads:
        each.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer within {within:g} s"
    remedy = "See whether it hangs, or whether something between here and there swallows packets"
    return [found.get(name, Finding(name, ok=False, detail=late, remedy=remedy)) for name in looks]


def _found(name: str, look: Look) -> Finding:
    try:
        well = look()
    except Wrong as error:
        detail = _line(error) if error.is_ours else redact(_line(error))
        return Finding(name, ok=False, detail=detail, remedy=error.remedy)
    except NotLookedAt as error:
        return Finding(name, ok=None, detail=f"not looked at: {error}", remedy=error.remedy)
    except SettingsError as error:
        detail = f"not looked at: {_line(error)}"
        return Finding(name, ok=None, detail=detail, remedy="See to the settings first")
    except Exception as error:  # noqa: BLE001 -- its words may hold anything
        detail = f"it failed in an unexpected way ({type(error).__name__})"
        return Finding(name, ok=False, detail=detail, remedy="Report it: this is a bug")
    return Finding(name, ok=True, detail=redact(well.detail), remedy=well.remedy)


def _line(error: Exception) -> str:
    return "; ".join(str(error).strip().splitlines())
