"""What was deleted before it was started is not made by who has not heard of it (VD3)."""

from sqlalchemy import text

from bot.discord import sentences
from db import keeping
from db.states import Status
from tests.e2e.bot.studio import id_of
from tests.e2e.delivery import EVERY_TIME
from tests.faults.others import STARTS
from tests.faults.servers import FAST
from tests.faults.stage import new_stage
from tests.workers.waiting import until


def test_no_call_is_made_for_what_was_deleted_just_before_postgres_went() -> None:
    with new_stage(workers=0) as stage:
        system, traffic = stage.system, stage.google.vertex.traffic
        ana = stage.discord.new_person("ana", stage.discord.new_guild("a server"))
        worker = system.start_worker(concurrency=1)
        traffic.refuse(STARTS, 429, times=EVERY_TIME)
        asked = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
        request_id = id_of(asked)
        # From then on it rests for seconds at a time; and nobody but the worker knows for how long.
        system.wait_for_row(request_id, lambda row: row.attempts >= 3 and row.claim is None)
        with system.database.begin() as conn:
            conn.execute(text("UPDATE video_requests SET due_at = now() + interval '1 hour'"))
        shown = ana.slash("video", {"id": str(request_id)}).wait_until_answered()
        ana.click(shown, "Delete").wait_for_text(sentences.deleted("never"))
        row = system.row(request_id)
        stage.postgres.stop(FAST)
        traffic.release_all()
        about = {"request_id": str(request_id)}
        until(
            lambda: worker.said("request_goes_on_unwritten", **about),
            what="the worker has it go on, for it knows no better",
        )
        until(lambda: worker.said("start_outcome_unknown", **about), what="it finds the mark")
        assert not stage.google.vertex.taken()[request_id]
        stage.postgres.start()
    assert (row.status, row.error_code) == (Status.FAILED, keeping.CANCELLED)
