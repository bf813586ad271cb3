"""A request without Postgres is followed to its end (DG2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from db.meanwhile import Meanwhile
from workers import ending
from workers.context import Context
from workers.ends import End
from workers.examining import Ready, examine, publish
from workers.polling import schedule
from workers.starting_alone import AT_ONCE


def follow(context: Context, known: Meanwhile) -> tuple[Meanwhile, timedelta]:
    """Ask once; what is known then, and how long to pause."""
    begin = known.started_at or known.claimed_at or known.asked_at
    by = schedule(None, first=context.provider.first_poll_after, every=context.provider.poll_every)
    again = replace(known, attempts=known.attempts + 1)
    request = again.as_request()
    finding = examine(context, request, datetime.now(UTC) - begin, by)
    if isinstance(finding, Ready):
        finding = publish(context, request)
    if isinstance(finding, End):
        return ending.seen(known, finding), AT_ONCE
    return replace(known, attempts=0) if finding.is_progress else again, finding.delay
