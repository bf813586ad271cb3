"""The bot dies, and what was asked of it goes on."""

from db.states import Status
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.discord import Person
from tests.workers.waiting import until


def test_killed_while_videos_are_made_the_bot_is_not_missed(
    new_studio: NewStudio, ana: Person
) -> None:
    studio = new_studio(SANDBOX_SECONDS=5)
    studio.system.start_worker()
    with studio.bot() as bot:
        asked = [ana.slash("veo", {"prompt": f"kite number {number}"}) for number in range(3)]

        def are_being_made() -> bool:
            states = [row.status for row in studio.requests_of(ana)]
            return len(states) == len(asked) and Status.GENERATING in states

        until(are_being_made, what="all three are taken on, and one is being made")
        bot.kill()
        for each in asked:
            each.wait_for(lambda it: it.attachments, "the video")
        assert [row.status for row in studio.requests_of(ana)] == [Status.COMPLETED] * len(asked)
