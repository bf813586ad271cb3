"""What was asked for and is no row yet: lost by Redis, or with the bot that it was asked of."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import text

from bot.discord import sentences
from db.states import Status
from tests.db.rows import admit
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, id_of
from tests.e2e.discord import FakeDiscord, Interaction, Person
from tests.workers.storages import folder
from tests.workers.waiting import stays, until
from workers import answer_marks

KITE = {"prompt": "a red kite over a grassy park"}


@pytest.fixture(scope="module")
def shared(new_studio: NewStudio) -> Studio:
    return new_studio(RESCUE_AFTER_SECONDS=1)


@pytest.fixture
def studio(shared: Studio) -> Iterator[Studio]:
    """Without a worker, or anything of the test before."""
    yield shared
    for each in shared.system.processes:
        each.kill()
    shared.system.broker.flush()
    with shared.system.database.begin() as conn:
        conn.execute(text("TRUNCATE sent_requests"))


def a_minute_passes(studio: Studio) -> None:
    """Since whatever was asked for and is no row yet."""
    with studio.system.database.begin() as conn:
        conn.execute(
            text(
                "UPDATE sent_requests SET due_at = now(),"
                " sent_at = sent_at - interval '1 minute',"
                " expires_at = expires_at - interval '1 minute'"
            )
        )


def make_answer_due(studio: Studio) -> None:
    """The lease of whoever was to deliver it is over."""
    with studio.system.database.begin() as conn:
        conn.execute(
            text("UPDATE video_requests SET delivery_due_at = now() WHERE delivered_at IS NULL")
        )


def kept(studio: Studio) -> int:
    """How many a bot looks after."""
    with studio.system.database.autocommit() as conn:
        return int(conn.execute(text("SELECT count(*) FROM sent_requests")).scalar_one())


def is_due(studio: Studio) -> bool:
    """Whether a bot is to look at something."""
    due = text("SELECT count(*) FROM sent_requests WHERE due_at <= now()")
    with studio.system.database.autocommit() as conn:
        return bool(conn.execute(due).scalar_one())


def is_waiting(studio: Studio, asked: Interaction) -> bool:
    """Whether it is in the queue, once, and nothing else is."""
    return studio.system.broker.outstanding() == {id_of(asked): 1}


@contextmanager
def redis_frozen(studio: Studio) -> Iterator[None]:
    """For the block, Redis takes connections and answers nothing."""
    server = studio.system.broker.server()
    server.suspend()
    try:
        yield
    finally:
        server.resume()


def test_what_redis_has_forgotten_is_made_all_the_same(studio: Studio, ana: Person) -> None:
    with studio.bot() as bot:
        asked = ana.slash("veo", KITE)
        until(lambda: is_waiting(studio, asked), what="it is in the queue")
        # That nobody takes it up is no loss.
        assert stays(lambda: is_waiting(studio, asked), seconds=3)
        studio.system.broker.flush()
        until(lambda: is_waiting(studio, asked), what="it is sent again")
        studio.system.start_worker()
        asked.wait_for(lambda it: it.attachments, "the video")
        # More than once where the worker takes long with it: it is the same request.
        assert bot.said("request_sent_again", request_id=str(id_of(asked)))
        assert studio.system.calls()[id_of(asked)] == 1
        assert not bot.said("waiting_told")
    assert kept(studio) == 0


def test_who_is_not_taken_on_within_a_minute_is_told_and_served_whatever_has_died(
    studio: Studio, ana: Person
) -> None:
    """The bot is killed, Redis stands still and has lost it, and another bot knows of it."""
    with studio.bot() as bot:
        asked = ana.slash("veo", KITE)
        bot_said = asked.wait_for_text("Your video goes into the queue").content
        until(lambda: bot.said("request_published"), what="it is handed over")
        bot.kill()
    a_minute_passes(studio)
    studio.system.broker.flush()
    with redis_frozen(studio):
        with studio.bot() as bot:
            asked.wait_for_text(sentences.WAITS)
            until(lambda: bot.said("waiting_told"), what="it is known to be told")
            bot.kill()
        # Nor is it told twice.
        a_minute_passes(studio)
    with studio.bot() as bot:
        until(lambda: bot.said("request_sent_again"), what="it is sent again")
        studio.system.start_worker()
        asked.wait_for(lambda it: it.attachments, "the video")
        assert [each.content for each in asked.history].count(sentences.WAITS) == 1
        assert asked.history[0].content in ("", bot_said)
        assert studio.system.calls()[id_of(asked)] == 1
    assert kept(studio) == 0


def test_what_is_made_without_postgres_is_not_said_to_wait(studio: Studio, ana: Person) -> None:
    """A worker has lost it, and the bot has not; the answer may come at any moment."""
    with studio.bot():
        asked = ana.slash("veo", KITE)
        until(lambda: is_waiting(studio, asked), what="it is in the queue")
        storage = studio.system.context.storage
        assert storage.create_marker(storage.prefix_for(id_of(asked)), uuid4())
        a_minute_passes(studio)
        until(lambda: not is_due(studio), what="the bot has looked at it")
        assert stays(lambda: sentences.WAITS not in asked.content, seconds=2)


def test_what_redis_has_forgotten_is_sent_again_though_the_storage_fails(
    studio: Studio, ana: Person
) -> None:
    with studio.bot() as bot:
        asked = ana.slash("veo", KITE)
        until(lambda: is_waiting(studio, asked), what="it is in the queue")
        with folder(studio.system.videos).broken():
            studio.system.broker.flush()
            a_minute_passes(studio)
            until(lambda: is_waiting(studio, asked), what="it is sent again")
        assert bot.said("waiting_not_told", request_id=str(id_of(asked)))


def test_a_bot_that_dies_before_it_hands_over_leaves_it_to_the_next(
    studio: Studio, discord: FakeDiscord, ana: Person
) -> None:
    with studio.bot() as bot:
        hangs = discord.faults.hang("PATCH /webhooks/*")
        asked = ana.slash("veo", KITE)
        hangs.wait_until_reached()
        bot.kill()
        hangs.release()
    assert not studio.system.broker.messages()
    with studio.bot():
        until(lambda: is_waiting(studio, asked), what="it is sent")


def test_nothing_is_sent_as_long_as_its_first_sentence_is_on_its_way(
    studio: Studio, discord: FakeDiscord, ana: Person
) -> None:
    """However long Discord takes for it: it would overwrite what a worker has answered."""
    with studio.bot() as bot:
        hangs = discord.faults.hang("PATCH /webhooks/*")
        asked = ana.slash("veo", KITE)
        hangs.wait_until_reached()
        a_minute_passes(studio)
        until(lambda: not is_due(studio), what="the bot has looked at it")
        assert stays(lambda: not studio.system.broker.messages(), seconds=2)
        hangs.release()
        until(lambda: is_waiting(studio, asked), what="it is sent")
        assert not bot.said("request_sent_again")


def test_what_was_asked_for_without_postgres_is_looked_after_when_that_is_back(
    studio: Studio, ana: Person
) -> None:
    with studio.bot() as bot:
        with studio.system.postgres_away():
            asked = ana.slash("veo", KITE)
            asked.wait_for_text(sentences.QUEUED_BLINDLY)
            until(lambda: bot.said("request_published"), what="it is handed over")
            studio.system.broker.flush()
        until(lambda: kept(studio) == 1, what="it is kept")
        a_minute_passes(studio)
        asked.wait_for_text(sentences.WAITS)
        until(lambda: is_waiting(studio, asked), what="it is sent again")


@pytest.mark.parametrize("is_refused", [False, True])
def test_what_was_paid_for_without_postgres_has_a_row_though_its_message_is_lost(
    new_studio: NewStudio, ana: Person, *, is_refused: bool
) -> None:
    """Answered already, or refused by a limit when it is asked for again."""
    studio = new_studio(RESCUE_AFTER_SECONDS=1, DAILY_LIMIT=1, SANDBOX_SECONDS=5 * is_refused)
    system = studio.system
    worker = system.start_worker()
    with studio.bot() as bot:
        with system.postgres_away():
            asked = ana.slash("veo", KITE)
            request_id = id_of(asked)
            if is_refused:
                until(lambda: system.calls()[request_id], what="it is paid for")
            else:
                asked.wait_for(lambda it: it.attachments, "the video")
                storage = system.context.storage
                until(lambda: answer_marks.is_sent(storage, request_id), what="that is noted")
            worker.kill()
            system.broker.flush()
        until(lambda: kept(studio) == 1, what="it is kept")
        if is_refused:
            studio.admit(ana, "a blue kite over a grassy park")
        a_minute_passes(studio)
        until(lambda: bot.said("request_sent_again"), what="it is sent again")
        system.start_worker()
        [ended] = system.wait_until_ended([request_id])
        asked.wait_for(lambda it: it.attachments, "the video")
        assert (ended.status, ended.billed, ended.counted) == (Status.COMPLETED, True, True)
        assert system.calls()[request_id] == 1
        assert "used" not in asked.content
        if not is_refused:
            # Whoever has answered has left word of that, so nobody answers again.
            until(lambda: system.row(request_id).delivery_attempts, what="it is left to others")
            make_answer_due(studio)
            until(lambda: "delivered" in system.story(request_id), what="it is written")
            [told] = [e for e in system.events(request_id) if e.event_type == "delivered"]
            assert told.event_data == {"how": "unknown", "attempts": 2}
            assert len([each for each in asked.history if each.attachments]) == 1
    assert bool(system.log.count("request_recovered")) is is_refused


def test_what_was_turned_down_without_postgres_is_not_made_though_its_message_is_lost(
    new_studio: NewStudio, ana: Person
) -> None:
    """Nothing was paid for, and whoever asked has been told."""
    studio = new_studio(RESCUE_AFTER_SECONDS=1, SANDBOX_OUTCOME="refused")
    worker = studio.system.start_worker()
    with studio.bot() as bot:
        with studio.system.postgres_away():
            asked = ana.slash("veo", KITE)
            storage = studio.system.context.storage
            until(lambda: answer_marks.is_free(storage, id_of(asked)), what="it is told and noted")
            told = asked.content
            worker.kill()
            studio.system.broker.flush()
        until(lambda: kept(studio) == 1, what="it is kept")
        a_minute_passes(studio)
        until(lambda: kept(studio) == 0, what="nobody looks after it any more")
        assert not bot.said("request_sent_again")
        assert (asked.content, studio.requests_of(ana)) == (told, [])


def test_what_was_refused_is_not_asked_again(new_studio: NewStudio, ana: Person) -> None:
    studio = new_studio(RESCUE_AFTER_SECONDS=1, DAILY_LIMIT=1)
    # The bot has laxer limits than the worker, as two that ask at once have.
    studio.system.start_worker()
    with studio.bot(DAILY_LIMIT=2) as bot:
        first = ana.slash("veo", KITE)
        first.wait_for(lambda it: it.attachments, "the video")
        second = ana.slash("veo", {"prompt": "a blue kite over a grassy park"})
        second.wait_for_text("The one video of the last 24 hours is used.")
        a_minute_passes(studio)
        until(lambda: kept(studio) == 0, what="nobody looks after it any more")
        assert not bot.said("request_sent_again")
        assert not bot.said("waiting_told")


def test_what_was_not_taken_on_is_forgotten_though_nobody_could_be_told(
    studio: Studio, discord: FakeDiscord, ana: Person
) -> None:
    with studio.bot() as bot, redis_frozen(studio):
        asked = ana.slash("veo", KITE)
        asked.wait_for_text("Your video goes into the queue")
        assert kept(studio) == 1
        hangs = discord.faults.hang("PATCH /webhooks/*")
        until(lambda: bot.said("request_not_published"), what="it was not handed over")
        hangs.wait_until_reached()
        # Nobody has to look at what the answer says.
        assert kept(studio) == 0
        hangs.release()
        asked.wait_for_text(sentences.NOT_TAKEN_ON)


def test_who_is_taken_on_all_the_same_reads_nothing_else(
    studio: Studio, discord: FakeDiscord, ana: Person
) -> None:
    """Redis has it, did not say so in time, and a worker has taken it up."""
    with studio.bot() as bot, redis_frozen(studio):
        hangs = discord.faults.hang("PATCH /webhooks/*")
        asked = ana.slash("veo", KITE)
        hangs.wait_until_reached()
        admit(studio.system.database, id=id_of(asked))
        hangs.release()
        until(lambda: bot.said("request_published"), what="it is known to be handed over")
        assert bot.said("request_not_published")
        assert [each.content for each in asked.history] == [asked.content]
        assert "Your video goes into the queue" in asked.content


def test_what_was_not_taken_on_is_not_sent_when_redis_is_back(studio: Studio, ana: Person) -> None:
    with studio.bot() as bot:
        with redis_frozen(studio):
            asked = ana.slash("veo", KITE)
            asked.wait_for_text(sentences.NOT_TAKEN_ON)
        studio.system.broker.flush()
        a_minute_passes(studio)
        until(lambda: kept(studio) == 0, what="nobody looks after it any more")
        assert not bot.said("request_sent_again")
        assert asked.content == sentences.NOT_TAKEN_ON
