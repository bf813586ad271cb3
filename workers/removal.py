"""Removing outputs from the storage, before the rows that tell where they lie."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import UUID

import structlog

from db.removal import Leaving
from workers.storage import Storage, StorageUnavailable

log = structlog.get_logger(__name__)

THREADS: Final = 8
"""Requests whose outputs are removed at once: most of the time is spent waiting."""
REMOVE_FOR: Final = 15.0
"""Seconds after which no further removal is begun: the task has to end in time."""


def remove_outputs(storage: Storage, leaving: Sequence[Leaving]) -> list[UUID]:
    """Remove the outputs of these requests; the ids of those whose row may go now.

    One that the storage fails for stays, and is tried again by the next run. Outputs in a storage
    of another kind, as those of the system before this one are for a folder, hold no row up:
    nobody here would ever reach them, so the log tells an operator where they were left.
    """
    until = time.monotonic() + REMOVE_FOR
    with ThreadPoolExecutor(max_workers=min(THREADS, len(leaving) or 1)) as threads:
        ends = list(threads.map(lambda each: _remove(storage, each, until), leaving))
    gone = []
    for each, end in zip(leaving, ends, strict=True):
        if isinstance(end, StorageUnavailable):
            log.warning("outputs_not_removed", request_id=str(each.id), reason=str(end))
            continue
        gone.append(each.id)
        if not end:
            log.warning("outputs_left", request_id=str(each.id), prefix=each.gcs_prefix)
    return gone


def _remove(storage: Storage, each: Leaving, until: float) -> bool | StorageUnavailable:
    if time.monotonic() > until:
        return StorageUnavailable("the storage is too slow")
    try:
        return storage.remove(each.id, each.gcs_prefix)
    except StorageUnavailable as error:
        return error
