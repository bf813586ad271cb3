"""A place in the queue, from the command to the details."""

from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import id_of, texts, wait_until_said
from tests.e2e.discord import Interaction, Person


def veo(person: Person) -> Interaction:
    return person.slash("veo", {"prompt": "a red kite"})


def test_who_has_to_wait_sees_the_place_wherever_it_is_looked_up(
    new_studio: NewStudio, ana: Person
) -> None:
    studio = new_studio(SANDBOX_STARTS_PER_MINUTE=1, SANDBOX_OUTCOME="failed")
    studio.system.start_worker()
    with studio.bot():
        # One after the other, for it is Celery that brings them.
        first = wait_until_said(veo(ana), "was not made")
        wait_until_said(veo(ana), "⏳ Queued: number 1 in the queue.")
        third = wait_until_said(veo(ana), "⏳ Queued: number 2 in the queue.")
        shown = ana.slash("video", {"id": str(id_of(third))}).wait_until_answered()
        assert "number 2 in the queue" in texts(shown)
        shown = ana.slash("video", {"id": str(id_of(first))}).wait_until_answered()
        assert "in the queue" not in texts(shown)
