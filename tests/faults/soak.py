"""Many requests of many users, while something is killed or frozen again and again.

Seeded: the same seed asks for the same and has the same accidents in the same order.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Final

from redis import RedisError

from db.errors import DatabaseUnavailable
from tests.faults import dossier
from tests.faults.accidents import ACCIDENTS
from tests.faults.asking import Asked, Crowd
from tests.faults.evidence import Evidence, line
from tests.faults.ledger import Line
from tests.faults.stage import Stage
from tests.workers.waiting import until

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at all that has not ended."""
LOOKS: Final = 3
"""In a row at which all has ended, before it counts as ended."""


def befall(
    stage: Stage,
    name: str,
    accidents: Sequence[str],
    *,
    requests: int,
    people: int,
    a_second: float,
    seed: int = 0,
    late: float = 0.0,
    pause: float = 0.0,
    more_time: float = 0.0,
) -> Line:
    """Have so much asked for, with accidents meanwhile, and see what came of all.

    All ends within the longest bound of these accidents, with `more_time` for those before.
    """
    crowd = Crowd(stage, people=people, seed=seed, late=late)
    try:
        with crowd.asking(requests, a_second=a_second) as is_over:
            for accident in accidents:
                with stage.befalling(accident):
                    ACCIDENTS[accident].happen(stage)
                if is_over.wait(pause):
                    break
    except BaseException as error:
        error.add_note(f"All that is known of it is in {dossier.keep(stage, {})}")
        raise
    waiting = Waiting(stage, crowd.asked)
    end = time.monotonic()
    with suppress(AssertionError):
        # The ledger tells which have not.
        until(
            waiting.is_over,
            what="all have ended",
            within=max(ACCIDENTS[each].within for each in accidents) + more_time,
            every=LOOK_EVERY * max(1, requests / 500),
        )
    return line(name, stage, crowd.asked, waiting.ended_at - end)


def any_accidents(number: int, *, seed: int) -> list[str]:
    """So many, in an order that the seed tells; as often as they come, each before any again."""
    chance = Random(seed)  # noqa: S311 -- no secret
    short = [name for name, accident in ACCIDENTS.items() if not accident.is_long]
    found: list[str] = []
    while len(found) < number:
        found += chance.sample(short, len(short))
    return found[:number]


class Waiting:
    """For all that was asked for. What has ended is looked at again when everything has: a message
    of which the bot was told nothing may have arrived all the same."""

    def __init__(self, stage: Stage, asked: Sequence[Asked]) -> None:
        self._scene = stage
        self._asked = asked
        self._left = [*asked]
        self._looks_at_all = 0
        #: When it was first seen that all had, or the latest look; by the monotonic clock.
        self.ended_at = time.monotonic()

    def is_over(self) -> bool:
        """Whether all have ended, at some looks in a row."""
        now = time.monotonic()
        try:
            found = Evidence(self._scene, self._left)
        except (DatabaseUnavailable, RedisError):
            return False
        self._left = [one for one in self._left if not found.is_settled(one)]
        if self._left:
            self._looks_at_all, self.ended_at = 0, now
            return False
        self.ended_at = now if not self._looks_at_all else self.ended_at
        self._looks_at_all += 1
        if self._looks_at_all < LOOKS:
            self._left = [*self._asked]
        return not self._left
