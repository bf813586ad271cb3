"""Many requests of many users, while something is killed or frozen again and again.

Seeded: the same seed asks for the same and has the same accidents in the same order.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from typing import Final

from tests.e2e.delivery import Asked, Studio, new_studio
from tests.e2e.discord import fake_discord
from tests.faults.accidents import ACCIDENTS
from tests.faults.ledger import Line, draw_up
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until

TIMEOUT: Final = 15
"""Seconds of a request."""
BOUND: Final = 90.0
"""Seconds from the last accident to the last answer: a call's own, a timeout, and leases."""


@contextmanager
def studio(make_system: MakeSystem) -> Iterator[Studio]:
    """A system that answers in a Discord, whose videos all fail, which takes no time."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        found = new_studio(
            stack,
            make_system,
            discord,
            RESCUE_AFTER_SECONDS=2,
            SANDBOX_OUTCOME="failed",
            SANDBOX_SECONDS=1,
            GENERATION_TIMEOUT_SECONDS=TIMEOUT,
        )
        found.system.start_worker()
        yield found


def soak(
    found: Studio, name: str, *, requests: int, users: int, accidents: list[str], seed: int = 0
) -> Line:
    """Have requests made, with accidents among them, and see what came of all."""
    chance = Random(seed)  # noqa: S311 -- no secret
    guild = found.discord.new_guild()
    people = [found.discord.new_person(f"user {number}", guild) for number in range(users)]
    asked: list[Asked] = []
    for accident in accidents:
        number = requests // len(accidents)
        asked.extend(found.ask(chance.choice(people)) for _ in range(number))
        # Some have got somewhere.
        until(lambda: _are_accepted(found, asked[-3:]), what="they are accepted")
        ACCIDENTS[accident](found)
    with suppress(AssertionError):
        # The ledger tells which are not.
        until(lambda: _are_answered(found, asked), what="all are answered", within=BOUND)
    return draw_up(name, found, asked)


def any_accidents(number: int, *, seed: int) -> list[str]:
    """So many, in an order that the seed tells."""
    chance = Random(seed)  # noqa: S311 -- no secret
    return [chance.choice([*ACCIDENTS]) for _ in range(number)]


def _are_accepted(found: Studio, asked: list[Asked]) -> bool:
    return len(found.system.rows([one.id for one in asked])) == len(asked)


def _are_answered(found: Studio, asked: list[Asked]) -> bool:
    rows = found.system.rows([one.id for one in asked])
    return all(row.delivered_at is not None for row in rows)
