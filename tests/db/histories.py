"""Random histories with everything that makes counting hard, and what may be said of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select

from db.engine import Database
from db.states import Status
from db.tables import video_requests

MICROSECOND = timedelta(microseconds=1)
USERS = ("alice", "Bob")
GUILDS = ("guild", "dm")
#: More than a report shows, with some that only a careless comparison takes for the same.
PROMPTS = [
    *("a kite", "A kite", "a kite ", "ä kite", "a-kite", "a  kite", "zebra", "Zebra", "10", "9"),
    *(f"prompt {number}" for number in range(4)),
]
#: Of sessions, which have been told otherwise than ours are.
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia")

EDGES = [
    datetime(2024, 1, 1, tzinfo=UTC),  # a year, month, week and day begin
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),  # clocks go forward in Berlin
    datetime(2024, 4, 1, tzinfo=UTC),  # a month and a week begin
    datetime(2024, 10, 27, 1, tzinfo=UTC),  # clocks go back in Berlin
    datetime(2024, 11, 3, 5, 30, tzinfo=UTC),  # ... in St. John's
]
#: Quarters of a day, so that many requests meet in a moment or are 24 hours apart, and then a
#: bit more or less, and any other time.
moments = st.builds(
    lambda edge, quarters, bit: edge + quarters * timedelta(hours=6) + bit,
    st.sampled_from(EDGES),
    st.integers(-6, 6),
    st.sampled_from([timedelta(0)] * 3 + [MICROSECOND, -MICROSECOND])
    | st.timedeltas(timedelta(0), timedelta(hours=6)),
)


@dataclass(frozen=True)
class Made:
    """One request, as far as it is counted."""

    id: UUID
    user_id: str
    guild_id: str
    prompt: str
    status: Status
    created_at: datetime
    cost_usd: Decimal | None
    counted: bool
    taken_ms: int
    billed: bool = True
    archived: bool = False
    deleted: bool = False

    @property
    def duration_ms(self) -> int | None:
        return self.taken_ms if self.status.has_ended else None

    def row(self) -> dict[str, object]:
        has_started = self.status is not Status.PENDING
        completed_at = self.created_at + timedelta(milliseconds=self.taken_ms)
        return {
            "id": self.id,
            "user_id": self.user_id,
            "guild_id": self.guild_id,
            "channel_id": "channel",
            "prompt": self.prompt,
            "duration_seconds": 4,
            "aspect_ratio": "16:9",
            "resolution": "720p",
            "status": self.status,
            "created_at": self.created_at,
            "started_at": self.created_at if has_started else None,
            "completed_at": completed_at if self.status.has_ended else None,
            "duration_ms": self.duration_ms,
            "cost_usd": self.cost_usd,
            "counted": self.counted,
            "billed": self.billed,
            "archived_at": completed_at if self.archived else None,
            "deleted_at": completed_at if self.deleted else None,
        }


def made_at(created_at: datetime, **changes: Any) -> Made:
    """A request of that moment, in most ways like any other."""
    fields: dict[str, Any] = {
        "id": uuid4(),
        "user_id": "alice",
        "guild_id": "guild",
        "prompt": "a kite",
        "status": Status.COMPLETED,
        "created_at": created_at,
        "cost_usd": Decimal("0.4000"),
        "counted": True,
        "taken_ms": 1000,
    }
    return Made(**fields | changes)


seldom = st.sampled_from([False, False, False, True])
requests = st.builds(
    Made,
    id=st.uuids(),
    user_id=st.sampled_from(USERS),
    guild_id=st.sampled_from(GUILDS),
    prompt=st.sampled_from(PROMPTS),
    # Every other one is completed.
    status=st.sampled_from([*Status, *[Status.COMPLETED] * 3]),
    created_at=moments,
    cost_usd=st.none() | st.decimals(0, 999_999, places=4),
    counted=st.sampled_from([True, True, True, False]),
    taken_ms=st.integers(0, 400_000) | st.sampled_from([0, 2**31 - 1]),
    billed=seldom.map(lambda so: not so),
    archived=seldom,
    deleted=seldom,
)
histories = st.lists(requests, unique_by=lambda made: made.id, max_size=60)
#: Where a range may begin or end: at a request or anywhere else, or nowhere.
bounds = st.none() | moments


@contextmanager
def kept(database: Database, history: Iterable[Made], zone: str = "UTC") -> Iterator[Connection]:
    """A table with the history and nothing else, for a session that has its clock in `zone`."""
    with database.begin() as conn:
        undone = conn.begin_nested()
        conn.execute(select(func.set_config("timezone", zone, True)))
        if rows := [made.row() for made in history]:
            conn.execute(insert(video_requests), rows)
        try:
            yield conn
        finally:
            undone.rollback()


def is_within(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or since <= moment) and (until is None or moment < until)
