"""The tokens of deferred answers, for as long as they live.

They are in a table of their own: no record of a request has them. A function takes the caller's
connection; every time is the database's clock.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import CTE, Connection, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from db.records import ReplyTo
from db.tables import late_results, reply_tokens, sent_requests, video_requests

TOKEN_LIFE: Final = timedelta(minutes=15)
NEVER: Final = timedelta(0)

c = reply_tokens.c
r = video_requests.c

#: A message that comes again much later would bring back what was forgotten.
_IS_TO_BE_ANSWERED: Final = or_(r.completed_at.is_(None), r.delivery_due_at.is_not(None))
_KEPT: Final = (c.request_id, c.application_id, c.token, c.expires_at, c.telling_until)


def keep(conn: Connection, request_id: UUID, reply_to: ReplyTo) -> None:
    """Keep the token of a request that is there, unless its answer has been given.

    The first one stays. From here on its answer is edited by who works on it; the bot may be about
    to end an edit.
    """
    s = sent_requests.c
    taken_over = (
        delete(sent_requests)
        .where(s.request_id == request_id)
        .returning(s.telling_until)
        .cte("taken_over")
    )
    wanted = select(
        r.id,
        literal(reply_to.application_id),
        literal(reply_to.token),
        func.now() + TOKEN_LIFE,
        select(taken_over.c.telling_until).scalar_subquery(),
    ).where(r.id == request_id, _IS_TO_BE_ANSWERED)
    conn.execute(insert(reply_tokens).from_select(_KEPT, wanted).on_conflict_do_nothing())


def take_over(conn: Connection, sent: CTE) -> None:
    """Keep the tokens of what was sent, as :func:`keep` would have, where it has become a row."""
    wanted = (
        select(*(sent.c[each.name] for each in _KEPT))
        .join(video_requests, r.id == sent.c.request_id)
        .where(_IS_TO_BE_ANSWERED)
    )
    conn.execute(insert(reply_tokens).from_select(_KEPT, wanted).on_conflict_do_nothing())


def of(conn: Connection, request_ids: Collection[UUID]) -> dict[UUID, ReplyTo]:
    """The tokens of those of the requests whose answers can still be edited."""
    if not request_ids:
        return {}
    alive = select(c.request_id, c.application_id, c.token).where(
        c.request_id.in_(request_ids), c.expires_at > func.now()
    )
    return {row.request_id: ReplyTo(row.application_id, row.token) for row in conn.execute(alive)}


def close(conn: Connection, request_id: UUID) -> tuple[ReplyTo | None, timedelta]:
    """Tell no progress any more: the token, and how long an edit may still be under way.

    Of this and :func:`db.progress.begin_telling` one waits for the other, and sees what it wrote.
    """
    closed = (
        update(reply_tokens)
        .where(c.request_id == request_id)
        .values(closed=True)
        .returning(
            c.application_id,
            c.token,
            (c.expires_at > func.now()).label("is_alive"),
            func.greatest(c.telling_until - func.now(), NEVER).label("busy"),
        )
    )
    found = conn.execute(closed).one_or_none()
    if found is None:
        return None, NEVER
    reply_to = ReplyTo(found.application_id, found.token) if found.is_alive else None
    return reply_to, found.busy or NEVER


def forget(conn: Connection, request_id: UUID) -> None:
    """The token is of no use any more."""
    conn.execute(delete(reply_tokens).where(c.request_id == request_id))


def forget_unless_late(conn: Connection, request_id: UUID) -> None:
    """The token is of no use any more, unless the video may still come, or waits to be sent."""
    late = late_results.c
    is_awaited = exists().where(
        late.request_id == request_id,
        or_(late.look_until > func.now(), late.delivery_due_at.is_not(None)),
    )
    conn.execute(delete(reply_tokens).where(c.request_id == request_id, ~is_awaited))


def forget_expired(conn: Connection) -> None:
    """Drop all tokens that are dead."""
    conn.execute(delete(reply_tokens).where(c.expires_at <= func.now()))
