"""Redis forgets what was asked for before anybody took it up, and nobody notices."""

from collections import Counter

from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import id_of
from tests.e2e.discord import Person
from tests.workers.waiting import stays, until


def test_what_redis_has_forgotten_is_made_all_the_same(new_studio: NewStudio, ana: Person) -> None:
    studio = new_studio(RESCUE_AFTER_SECONDS=1)
    broker = studio.system.broker
    with studio.bot() as bot:
        asked = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
        once = Counter({id_of(asked): 1})
        until(lambda: broker.outstanding() == once, what="it is in the queue")
        # That nobody takes it up is no loss.
        assert stays(lambda: broker.outstanding() == once, seconds=3)
        broker.flush()
        until(lambda: broker.outstanding() == once, what="it is sent again")
        studio.system.start_worker()
        asked.wait_for(lambda it: it.attachments, "the video")
        # More than once where the worker takes long with it: it is the same request.
        assert bot.said("request_sent_again", request_id=str(id_of(asked)))
        assert studio.system.calls() == once


def test_what_was_refused_is_not_asked_again(new_studio: NewStudio, ana: Person) -> None:
    studio = new_studio(RESCUE_AFTER_SECONDS=1, DAILY_LIMIT=1)
    # The bot has laxer limits than the worker, as two that ask at once have.
    studio.system.start_worker()
    with studio.bot(DAILY_LIMIT=2) as bot:
        first = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
        first.wait_for(lambda it: it.attachments, "the video")
        second = ana.slash("veo", {"prompt": "a blue kite over a grassy park"})
        second.wait_for_text("The one video of the last 24 hours is used.")
        assert stays(lambda: not bot.said("request_sent_again"), seconds=3)
