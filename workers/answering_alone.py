"""The answer to a request that has ended while Postgres is away (DG1)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from db.meanwhile import Meanwhile
from db.records import Delivery, ReplyTo
from db.validation import is_snowflake
from workers import answer_marks, delivering
from workers.context import Context
from workers.discord import DiscordError
from workers.sending import Hopeless
from workers.starting_alone import AT_ONCE
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)


def is_wanted(known: Meanwhile) -> bool:
    """Whether there is somebody who still has to be told."""
    is_to_go = known.delivered_at is None and known.answer_claim is not None
    return is_to_go and is_snowflake(known.new.channel_id)


def answer(
    context: Context, known: Meanwhile, reply_to: ReplyTo | None
) -> tuple[Meanwhile, timedelta] | None:
    """Deliver it; what is known then, and how long to pause. None if another delivers it.

    Where it is hopeless it is left to when Postgres is back, which then has it on record.
    """
    attempts = known.attempts + 1
    again = replace(known, attempts=attempts)
    try:
        claim = known.answer_claim
        if claim is None or not answer_marks.may_answer(context, known.new.id, claim):
            return None
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", reason=str(error))
        if attempts < delivering.STORAGE_ATTEMPTS:
            return again, timedelta(seconds=attempts)
    delivery = Delivery(known.as_request(), attempts, reply_to, AT_ONCE)
    try:
        told = delivering.deliver_unrecorded(context, delivery)
    except Hopeless as error:
        log.error("answer_left_for_later", reason=str(error), attempts=attempts)
        return replace(known, attempts=0, answer_claim=None), AT_ONCE
    except DiscordError as error:
        pause = delivering.delay_after(error, attempts)
        wait = round(pause.total_seconds(), 1)
        log.warning("answer_put_off", reason=str(error), next_try_seconds=wait, attempts=attempts)
        return again, pause
    answer_marks.note_sent(context, known.new.id, is_billed=known.billed)
    delivered = replace(known, attempts=0, delivered_at=datetime.now(UTC), delivery=told)
    return delivered, AT_ONCE
