"""People who ask for videos, at a steady pace, whatever goes wrong meanwhile.

Seeded: the same seed has the same people ask for the same, and Google make the same of it.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final
from uuid import UUID

from db import budgets, quotas
from db.standing import Budget, Period, Scope
from tests.e2e.bot.studio import id_of
from tests.e2e.discord import Interaction, Person
from tests.e2e.google import scripts
from tests.e2e.google.scripts import Ending
from tests.faults.stage import FULL_LENGTH, Stage
from tests.workers.waiting import PATIENCE

ENDINGS: Final[Sequence[tuple[int, Ending]]] = (
    (80, scripts.made()),
    (10, scripts.filters("Support codes: 58061214")),
    (10, scripts.fails(13, "An internal error has occurred.")),
)
"""Of a hundred operations."""
SLOWEST: Final = 2.5
"""Seconds of an operation."""
LARGE_ONES: Final = 0.1
"""Of all videos: those that are linked."""
QUOTA: Final = 3
"""Of some users in a month; the others have what is usual."""
BUDGET: Final = Decimal("2.00")
"""Dollars in a month for the guild that has a budget: of six short videos without sound."""


@dataclass(frozen=True)
class Asked:
    """One ``/veo``."""

    prompt: str
    person: Person
    answer: Interaction
    #: Whether Google makes a video of it.
    has_video: bool

    @property
    def id(self) -> UUID:
        """Of the request that comes of it."""
        return id_of(self.answer)


class Crowd:
    """A few people, in two servers of which one has a budget, and all that they have asked for."""

    def __init__(self, stage: Stage, *, people: int, seed: int, late: float = 0.0) -> None:
        self.asked: list[Asked] = []
        self._scene = stage
        self._chance = Random(seed)  # noqa: S311 -- no secret
        #: Of all videos: those that come when the request has timed out.
        self._late = late
        discord = stage.discord
        guilds = [discord.new_guild("rich"), discord.new_guild("poor")]
        in_poor = max(people // 10, 5)
        self._people = [
            discord.new_person(f"user {number}", guilds[number % in_poor == 0])
            for number in range(people)
        ]
        with stage.system.database.begin() as conn:
            limit = BUDGET * max(people // 40, 1)
            budgets.set_limit(conn, Budget(Scope.GUILD, str(guilds[1].id), Period.MONTH, limit))
            for each in self._people[1 :: max(people // 10, 4)]:
                quotas.set_limits(conn, str(each.id), monthly=QUOTA)

    @contextmanager
    def asking(self, requests: int, *, a_second: float) -> Iterator[threading.Event]:
        """So many are asked for, a third of the first ten seconds' before the block; the rest
        meanwhile. The event tells that all are."""
        under_way, is_over = threading.Event(), threading.Event()

        def ask_all() -> None:
            for number in range(requests):
                if number == min(requests, 10 * a_second) // 3:
                    under_way.set()
                self._ask()
                time.sleep(1 / a_second)
            is_over.set()

        thread = threading.Thread(target=ask_all, name="crowd")
        thread.start()
        try:
            assert under_way.wait(PATIENCE), "nobody asks"
            yield is_over
        finally:
            thread.join()

    def _ask(self) -> None:
        chance, number = self._chance, next(self._scene.numbers)
        [ending] = chance.choices([each for _, each in ENDINGS], [share for share, _ in ENDINGS])
        is_late, is_large = chance.random() < self._late, chance.random() < LARGE_ONES
        prompt = f"a red fox, number {number}" + (f", {FULL_LENGTH}" if is_large else "")
        seconds = chance.uniform(0.5, SLOWEST) + (self._scene.timeout if is_late else 0)
        self._scene.google.vertex.arrange(prompt, ending=ending, seconds=seconds)
        person = chance.choice(self._people)
        answer = person.slash("veo", {"prompt": prompt, "audio": False})
        self.asked.append(Asked(prompt, person, answer, ending.videos > 0))
