"""Videos that appear after their request has timed out: looked for in the storage alone.

The provider was given up, and is asked nothing more; what it makes all the same lies under the
request's prefix. The sweeper has it looked for, ever more seldom, for a day.
"""

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from db import late_results
from db.records import Missing
from workers import chain
from workers.context import Context
from workers.errors import BrokerUnavailable
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)

THREADS: Final = 8
"""Requests that one batch looks for at once."""
LOOK_FOR: Final = 20.0
"""Seconds after which a batch begins no new look: its task has to end in time."""
LONGEST_DELAY: Final = timedelta(minutes=10)


def look(context: Context, request_ids: Collection[UUID]) -> None:
    """Look once for the video of each request: note what is there, have the rest looked for."""
    with context.database.autocommit() as conn:
        missing = late_results.missing(conn, request_ids)
    until = time.monotonic() + LOOK_FOR
    with ThreadPoolExecutor(max_workers=min(THREADS, len(missing) or 1)) as threads:
        # Each thread logs as this task does.
        looks = threads.map(
            lambda each, here: here.run(_outputs, context, each, until),
            missing,
            [copy_context() for _ in missing],
        )
        seen = list(zip(missing, looks, strict=True))
    for each, videos in seen:
        if videos:
            _note(context, each, videos)
    delays = {each.id: _delay(context, each.attempts) for each, videos in seen if not videos}
    with context.database.begin() as conn:
        late_results.park(conn, delays)


def _outputs(context: Context, each: Missing, until: float) -> Sequence[str]:
    """The videos that are there, if any can be seen."""
    if time.monotonic() > until:
        return ()
    try:
        return context.storage.outputs(_prefix(context, each))
    except StorageUnavailable as error:
        log.warning("outputs_unavailable", request_id=str(each.id), reason=str(error))
        return ()


def _note(context: Context, each: Missing, videos: Sequence[str]) -> None:
    with context.database.begin() as conn:
        is_to_be_told = late_results.found(conn, each.id, _prefix(context, each), videos)
    if not is_to_be_told:
        return
    try:
        chain.deliver_late(each.id)
    except BrokerUnavailable as error:
        # The sweeper sends it: it was written with the time it is due.
        log.warning("deliver_not_sent", request_id=str(each.id), reason=str(error))


def _prefix(context: Context, each: Missing) -> str:
    return each.gcs_prefix or context.storage.prefix_for(each.id)


def _delay(context: Context, attempts: int) -> timedelta:
    """Until the next look, twice as long each time."""
    doubled: int = 2 ** min(attempts - 1, 12)
    return min(context.settings.rescue_after * doubled, LONGEST_DELAY)
