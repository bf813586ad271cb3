"""Whoever waits for a turn sees the place, sees it change, and nothing of it after the answer."""

from contextlib import ExitStack

from sqlalchemy import text

from tests.e2e.delivery import Studio, new_studio
from tests.e2e.discord import FakeDiscord, Guild, Person
from tests.workers.conftest import MakeSystem


def time_passes(studio: Studio, seconds: int) -> None:
    """Since the calls that were made, and since the last edits."""
    with studio.system.database.begin() as conn:
        for statement in (
            "UPDATE start_turns SET reaches_by = reaches_by - :passed * interval '1 second'",
            "UPDATE reply_tokens SET told_at = told_at - :passed * interval '1 second'",
        ):
            conn.execute(text(statement), {"passed": seconds})


def test_dc2_who_waits_for_a_turn_sees_the_place(
    make_system: MakeSystem, discord: FakeDiscord, guild: Guild, ana: Person
) -> None:
    with ExitStack() as stack:
        studio = new_studio(
            stack, make_system, discord, SANDBOX_STARTS_PER_MINUTE=1, SANDBOX_OUTCOME="failed"
        )
        studio.system.start_worker()
        first = studio.ask(ana)
        studio.wait_until_delivered(first)
        # It was its turn at once, and no queue was spoken of.
        assert not any("queue" in each.content for each in first.answer.history)

        bob, carla = (discord.new_person(name, guild) for name in ("bob", "carla"))
        second = studio.ask(bob)
        second.answer.wait_for_text("⏳ Queued: number 1 in the queue.")
        third = studio.ask(carla)
        third.answer.wait_for_text("⏳ Queued: number 2 in the queue.")
        assert len(second.answer.history) == 1
        time_passes(studio, 60)
        studio.wait_until_delivered(second)
        third.answer.wait_for_text("⏳ Queued: number 1 in the queue.")
        assert not carla.pings
        time_passes(studio, 60)
        studio.wait_until_delivered(third)
        studio.system.wait_until_quiet()
        for asked in (second, third):
            assert "was not made" in asked.answer.content
        assert studio.tokens() == 0
