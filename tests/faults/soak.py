"""Many requests of many users, while something is killed or frozen again and again.

Seeded: the same seed asks for the same and has the same accidents in the same order.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Final

from db.errors import DatabaseUnavailable
from tests.faults.accidents import ACCIDENTS
from tests.faults.asking import Asked, Crowd
from tests.faults.evidence import Evidence
from tests.faults.ledger import Line, draw_up
from tests.faults.scene import Scene
from tests.workers.waiting import until

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at all that has not ended."""


def befall(
    scene: Scene,
    name: str,
    accidents: Sequence[str],
    *,
    requests: int,
    people: int,
    a_second: float,
    seed: int = 0,
    late: float = 0.0,
    pause: float = 0.0,
) -> Line:
    """Have so much asked for, with accidents meanwhile, and see what came of all."""
    crowd = Crowd(scene, people=people, seed=seed, late=late)
    with crowd.asking(requests, a_second=a_second) as is_over:
        for accident in accidents:
            ACCIDENTS[accident].happen(scene)
            if is_over.wait(pause):
                break
    end = time.monotonic()
    left = list(crowd.asked)
    with suppress(AssertionError):
        # The ledger tells which are not.
        until(
            lambda: _have_ended(scene, left),
            what="all have ended",
            within=max(ACCIDENTS[each].within for each in accidents),
            every=LOOK_EVERY,
        )
    return draw_up(name, scene, crowd.asked, time.monotonic() - end)


def any_accidents(number: int, *, seed: int) -> list[str]:
    """So many, in an order that the seed tells; as often as they come, each before any again."""
    chance = Random(seed)  # noqa: S311 -- no secret
    short = [name for name, accident in ACCIDENTS.items() if not accident.is_long]
    found: list[str] = []
    while len(found) < number:
        found += chance.sample(short, len(short))
    return found[:number]


def _have_ended(scene: Scene, left: list[Asked]) -> bool:
    """Whether all have; those that have are not looked at again."""
    try:
        found = Evidence(scene, left)
    except DatabaseUnavailable:
        return False
    left[:] = [one for one in left if not found.is_settled(one)]
    return not left
