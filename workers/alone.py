"""What the steps of a request without Postgres have in common.

Each takes what is known of the request, and answers what is known after it, and how long to pause.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from db.meanwhile import Meanwhile
from db.states import Status

Known = tuple[Meanwhile, timedelta]
AT_ONCE: Final = timedelta(0)


def ended(known: Meanwhile, status: Status, **facts: Any) -> Known:
    """It has ended now; `facts` tell how."""
    now = datetime.now(UTC)
    it = replace(
        known,
        status=status,
        started_at=known.started_at or known.claimed_at or now,
        completed_at=now,
        attempts=0,
        # Whoever comes with the same message again is the same one; another is not.
        answer_claim=uuid4(),
        **facts,
    )
    return it, AT_ONCE
