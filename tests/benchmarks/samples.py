"""What the sides of several benchmarks do, ready to be timed."""

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, bindparam, func, insert

from db.admission import admit
from db.records import NewRequest
from db.standing import Outcome
from db.tables import video_requests
from tests.benchmarks.measuring import Side

LIMIT: Final = 5
QUOTA: Final = 100
LEASE: Final = timedelta(seconds=60)

_INSERT = insert(video_requests).values(
    status="pending", created_at=func.now(), due_at=func.now() + bindparam("lease")
)
_COLUMNS = (
    "id",
    "user_id",
    "guild_id",
    "channel_id",
    "prompt",
    "duration_seconds",
    "aspect_ratio",
    "resolution",
    "generate_audio",
    "provider",
    "model",
    "cost_usd",
)


def new_request(user_id: str | None = None) -> NewRequest:
    """A request of `user_id`, or of somebody who has never asked before."""
    return NewRequest(
        id=uuid4(),
        user_id=user_id or str(random.randrange(5 * 10**17, 10**18)),  # noqa: S311
        guild_id=str(random.randrange(2 * 10**17, 2 * 10**17 + 500)),  # noqa: S311
        channel_id="300000000000000000",
        prompt="A lighthouse in a storm, seen from the sea, with a ship far out and gulls above it",
        provider="vertex",
        model="veo-3.1-fast-generate-001",
        cost_usd=Decimal("0.40"),
    )


def plain_insert(conn: Connection) -> Side:
    """The row that an admission writes, by an INSERT and nothing else."""

    def prepare() -> Callable[[], object]:
        new = new_request()
        values = {name: getattr(new, name) for name in _COLUMNS} | {"lease": LEASE}
        return lambda: conn.execute(_INSERT, values)

    return prepare


def admission(conn: Connection, *, expected: Outcome, user_id: str | None = None) -> Side:
    """An admission of `user_id`, or of somebody new."""

    def prepare() -> Callable[[], object]:
        new = new_request(user_id)
        return lambda: _admit(conn, new, expected)

    return prepare


def _admit(conn: Connection, new: NewRequest, expected: Outcome) -> None:
    answer = admit(conn, new, daily_limit=LIMIT, monthly_quota=QUOTA, lease=LEASE)
    assert answer.outcome is expected
