"""The beginning of a request's way: checked, priced, and admitted with every limit (RT1, RL1)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from db import admission, replies
from db.records import NewRequest, ReplyTo
from db.standing import Admission, Outcome
from db.validation import validate
from workers import turns
from workers.context import Context


def admit(
    context: Context,
    new: NewRequest,
    *,
    reply_to: ReplyTo | None = None,
    asked_at: datetime | None = None,
) -> Admission:
    """(nothing) → ``pending``, in one admission with every limit. Raises InvalidRequest.

    The token of the answer is kept beside the row: most of a request's way is gone in batches and
    by the sweeper, who have no message of its own that could carry it.

    What was asked for, at `asked_at`, by somebody who was forgotten since, or so long ago that it
    would not be kept, is not taken on.
    """
    age = context.settings.retention
    if age and asked_at and asked_at < datetime.now(UTC) - age:
        admission.log_dropped(new, "it is older than what is kept")
        return Admission(Outcome.FORGOTTEN, None)
    validate(new)
    context.provider.check(new)
    with context.database.autocommit() as conn:
        answer = admission.admit(
            conn,
            priced(context, new),
            daily_limit=context.settings.daily_limit,
            monthly_quota=context.settings.monthly_quota,
            # Where starts are paced, it may be its turn at once.
            lease=timedelta(0) if turns.are_paced(context) else context.settings.rescue_after,
            spacing=turns.SPACING if turns.are_paced(context) else None,
            asked_at=asked_at,
        )
        if answer.is_allowed and reply_to is not None:
            replies.keep(conn, new.id, reply_to)
        return answer


def priced(context: Context, new: NewRequest) -> NewRequest:
    """The request with who makes it, with what, and for how much."""
    return replace(
        new,
        provider=context.provider.name,
        model=new.model or context.provider.model,
        cost_usd=context.provider.price(new),
    )
