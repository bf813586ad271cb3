"""Postgres goes for the workers alone, and comes back without what it had in no log."""

from collections import Counter

from db.states import Status
from tests.e2e.bot.studio import id_of, wait_until_said
from tests.faults.relay import relay
from tests.faults.servers import IMMEDIATE
from tests.faults.stage import new_stage
from tests.workers.waiting import until

LIMIT = 2


def test_dg1_nobody_has_more_made_than_a_day_allows_though_the_bot_sees_nothing_of_it() -> None:
    """The bot finds the limits untouched, whatever it asks: the ceiling is in who makes it."""
    with (
        new_stage(workers=0, DAILY_LIMIT=LIMIT) as stage,
        relay(stage.postgres.url) as way,
    ):
        discord, system = stage.discord, stage.system
        place = discord.new_guild("a server")
        ana, bob = (discord.new_person(name, place) for name in ("ana", "bob"))
        system.start_worker(concurrency=1, DATABASE_URL=way.url)
        with way.closed():
            asked = [
                who.slash("veo", {"prompt": f"kite number {number} over a park", "audio": False})
                for number, who in enumerate([ana, ana, ana, bob])
            ]
            for each in asked:
                wait_until_said(each, "goes into the queue: 1 of 2 left today")
            answers = [each.wait_for(lambda it: "> ⁨kite" in it.content, "an end") for each in asked]
            made = Counter(each.user.name for each in answers if each.attachments)
            assert made == {"ana": LIMIT, "bob": 1}
            [refused] = [each.content for each in answers if not each.attachments]
            assert "as many of your videos as a day allows were made meanwhile" in refused
        ids = [id_of(each) for each in asked]
        rows = system.wait_until_ended(ids)
        assert sum(stage.google.vertex.taken()[each] for each in ids) == LIMIT + 1
    ends = Counter((each.status, each.counted, each.billed) for each in rows)
    assert ends == {(Status.COMPLETED, True, True): LIMIT + 1, (Status.FAILED, False, False): 1}


def test_what_waits_is_remembered_by_the_bot_when_postgres_has_crashed() -> None:
    """What was kept for it is in no log, and gone; and then Redis loses it as well."""
    with new_stage(workers=0) as stage:
        broker = stage.system.broker
        ana = stage.discord.new_person("ana", stage.discord.new_guild("a server"))
        asked = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
        waits = {id_of(asked): 1}
        until(lambda: broker.outstanding() == waits, what="it is in the queue")
        stage.postgres.stop(IMMEDIATE)
        stage.postgres.start()
        broker.flush()
        until(lambda: broker.outstanding() == waits, what="it is sent again")
