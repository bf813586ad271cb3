"""What was handed to the queue and is no row yet, with the token of its answer.

A function takes the caller's connection; every time is the database's clock.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    Uuid,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert

from db import replies
from db.records import NewRequest, ReplyTo, Sent
from db.tables import sent_requests, video_requests

LIFE: Final = timedelta(minutes=14)
"""For so long an answer can be filled for certain."""

c = sent_requests.c
_whose: Final[ColumnElement[str]] = c.request["user_id"].astext
_known = cast([*NewRequest.__slots__], ARRAY(Text))
_unknown = func.jsonb_strip_nulls(c.request.op("-", return_type=JSONB)(_known), type_=JSONB)
#: A later release has said nothing in it that this one does not know (see NewRequest.from_row).
_IS_UNDERSTOOD: Final = _unknown == {}
_IS_A_ROW: Final = exists().where(video_requests.c.id == c.request_id)


def keep(
    conn: Connection,
    new: NewRequest,
    reply_to: ReplyTo,
    told: str,
    *,
    look_in: timedelta,
    ago: timedelta = timedelta(0),
) -> None:
    """Keep what is being sent, or was so long `ago`, and look at it first after `look_in`.

    `told` is what the one who asked reads.
    """
    kept = insert(sent_requests).values(
        request_id=new.id,
        request=new.as_row(),
        application_id=reply_to.application_id,
        token=reply_to.token,
        told=told,
        sent_at=func.now() - ago,
        due_at=func.now() + look_in,
        expires_at=func.now() + LIFE - ago,
    )
    conn.execute(kept.on_conflict_do_nothing())


def take(conn: Connection, *, limit: int, lease: timedelta) -> list[Sent]:
    """Up to `limit` of those to be looked at now, the longest due first; for `lease` nobody else's.

    What is a row by now is done with, and dropped; but its token is handed on, should whoever made
    it one have died before that. What only a later release understands is left to a bot of that.
    """
    due = c.due_at <= func.now()
    is_over = _IS_A_ROW | (c.expires_at <= func.now())
    dropped = delete(sent_requests).where(due, is_over).returning(sent_requests).cte("dropped")
    replies.take_over(conn, dropped)
    taken = (
        select(c.request_id)
        .where(due, _IS_UNDERSTOOD)
        .order_by(c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("taken")
    )
    found = conn.execute(
        update(sent_requests)
        .where(c.request_id == taken.c.request_id)
        .values(due_at=func.now() + lease)
        .returning(sent_requests, (func.now() - c.expires_at + LIFE).label("age"))
    ).mappings()
    return [
        Sent(
            NewRequest.from_row(each["request"]),
            ReplyTo(each["application_id"], each["token"]),
            each["told"],
            each["sent_at"],
            each["age"],
            is_told_of=each["told_at"] is not None,
        )
        for each in found
    ]


def missed(conn: Connection, request_ids: Collection[UUID]) -> tuple[set[UUID], set[UUID]]:
    """Which of these are rows, and which are neither rows nor kept here any more.

    A server that crashes comes back without what is kept here.
    """
    asked = func.unnest(literal([*request_ids], ARRAY(Uuid))).column_valued("asked")
    found = conn.execute(
        select(
            asked,
            exists().where(video_requests.c.id == asked).label("is_row"),
            exists().where(c.request_id == asked).label("is_kept"),
        )
    ).all()
    rows = {each.asked for each in found if each.is_row}
    return rows, {each.asked for each in found if not each.is_row and not each.is_kept}


def sent_again(conn: Connection, request_id: UUID) -> None:
    """It is being sent anew."""
    conn.execute(update(sent_requests).where(c.request_id == request_id).values(sent_at=func.now()))


def begin_telling(conn: Connection, request_id: UUID, *, at_most: timedelta) -> bool:
    """Whether its answer may be edited now, within `at_most`: nobody has taken the request up.

    Who admits it (:func:`db.replies.keep`) waits for this statement or comes before it; whoever
    delivers the answer then waits for the edit.
    """
    begun = (
        update(sent_requests)
        .where(c.request_id == request_id, ~_IS_A_ROW)
        .values(telling_until=func.now() + at_most)
        .returning(c.request_id)
    )
    return conn.execute(begun).first() is not None


def end_telling(conn: Connection, request_id: UUID) -> None:
    """The edit was answered: it is told, and none is under way any more."""
    conn.execute(
        update(sent_requests)
        .where(c.request_id == request_id)
        .values(told_at=func.now(), telling_until=None)
    )


def forget(conn: Connection, request_id: UUID) -> None:
    """Nobody is to look at it any more."""
    conn.execute(delete(sent_requests).where(c.request_id == request_id))


def of(conn: Connection, user_id: str) -> list[NewRequest]:
    """All that a user has sent and is no row yet, as far as this release understands it."""
    mine = _whose == user_id, ~_IS_A_ROW, _IS_UNDERSTOOD
    theirs = select(c.request).where(*mine).order_by(c.sent_at)
    return [NewRequest.from_row(found) for found in conn.execute(theirs).scalars()]


def forget_of(conn: Connection, user_id: str) -> None:
    """Nobody is to look at anything any more that the user has sent."""
    conn.execute(delete(sent_requests).where(_whose == user_id))


def forget_expired(conn: Connection) -> None:
    """Drop all whose tokens are dead, should no bot have seen to it."""
    conn.execute(delete(sent_requests).where(c.expires_at <= func.now()))
