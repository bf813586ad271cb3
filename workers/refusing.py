"""Telling whoever asked that a request is not taken on. It has no row, so nothing remembers it."""

from uuid import UUID

import structlog

from db import requests
from db.errors import DatabaseError
from db.records import NewRequest, ReplyTo
from workers import aftermath, answers
from workers.context import Context
from workers.sending import Hopeless, Sending, nonce
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)


def refuse(context: Context, new: NewRequest, reply_to: ReplyTo | None, sentence: str) -> None:
    """Tell why a request was not taken on. It may be told again.

    Not where it was taken on by another message of the same request, without Postgres perhaps:
    whoever asked is told of that. Raises DiscordError, unless trying again would be in vain.
    """
    if _is_begun_alone(context, new.id) or _is_a_row(context, new.id):
        log.info("refusal_dropped", request_id=str(new.id))
        return
    message = answers.refusal(new.user_id, sentence)
    sending = Sending(context.discord, nonce(new.id), new.channel_id, reply_to, lambda *_: message)
    try:
        sending.send()
    except Hopeless as error:
        log.warning("refusal_not_delivered", request_id=str(new.id), reason=str(error))
        return
    log.info("refusal_delivered", request_id=str(new.id), how=sending.how, detours=sending.detours)


def _is_begun_alone(context: Context, request_id: UUID) -> bool:
    """Whether somebody makes its call without Postgres, or has. A storage that fails says no."""
    if not aftermath.is_recent(context):
        return False
    try:
        return context.storage.is_marked(context.storage.prefix_for(request_id))
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", request_id=str(request_id), reason=str(error))
        return False


def _is_a_row(context: Context, request_id: UUID) -> bool:
    """Whether it was admitted, as far as Postgres tells."""
    try:
        with context.database.autocommit() as conn:
            return requests.get(conn, request_id) is not None
    except DatabaseError:
        return False
