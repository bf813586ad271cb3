"""A guarded transition with its event, against the same two writes without any guard."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

from sqlalchemy import Connection, bindparam, func, insert, update

from db import requests
from db.states import Status
from db.tables import video_events, video_requests
from tests.benchmarks.filling import under_way
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import WARM_UP, Comparison, Side, measure
from tests.benchmarks.samples import LEASE

BOUND = 1.5

OPERATION = "projects/p/operations/a669818e3a681a9471a688f0bd317a8f"
PREFIX = "gs://bucket/requests/a669818e3a681a9471a688f0bd317a8f"
URLS = [f"{PREFIX}/video.mp4"]

c = video_requests.c

_PLAIN_START = (
    update(video_requests)
    .where(c.id == bindparam("request_id"))
    .values(
        status=Status.GENERATING,
        started_at=func.now(),
        operation_name=bindparam("operation"),
        gcs_prefix=bindparam("prefix"),
        due_at=func.now() + bindparam("lease"),
        attempts=0,
    )
)
_PLAIN_COMPLETE = (
    update(video_requests)
    .where(c.id == bindparam("request_id"))
    .values(
        status=Status.COMPLETED,
        completed_at=func.now(),
        duration_ms=func.video_request_duration_ms(c.started_at, func.now()),
        due_at=None,
        video_urls=bindparam("urls"),
    )
)
_PLAIN_EVENT = insert(video_events)

Act = Callable[[Connection, UUID], object]


def run(ground: Ground) -> list[Comparison]:
    """Each in a transaction of its own, on one connection."""
    claim = uuid4()
    # Two sides for each state, and none gets a request that another one had.
    count = 2 * (ground.samples + round(ground.samples * WARM_UP))
    with ground.database.autocommit() as conn:
        pending = iter(under_way(conn, Status.PENDING, claim=claim, count=count))
        generating = iter(under_way(conn, Status.GENERATING, claim=claim, count=count))

    def start(conn: Connection, request_id: UUID) -> object:
        return requests.start(
            conn, request_id, claim, operation_name=OPERATION, gcs_prefix=PREFIX, due_in=LEASE
        )

    # The engine's own connection: what db.engine does to have one would make both sides alike.
    with ground.database.begin() as pooled, pooled.engine.connect() as conn:
        timings = measure(
            {
                "start": _transaction(conn, pending, start),
                "plain start": _transaction(conn, pending, _plain_start),
                "complete": _transaction(conn, generating, _complete),
                "plain complete": _transaction(conn, generating, _plain_complete),
            },
            ground.samples,
        )
    return [
        Comparison("start", timings["start"], timings["plain start"], BOUND),
        Comparison("complete", timings["complete"], timings["plain complete"], BOUND),
    ]


def _transaction(conn: Connection, ids: Iterator[UUID], act: Act) -> Side:
    def prepare() -> Callable[[], object]:
        request_id = next(ids)

        def transaction() -> None:
            with conn.begin():
                act(conn, request_id)

        return transaction

    return prepare


def _complete(conn: Connection, request_id: UUID) -> object:
    return requests.complete(conn, request_id, URLS)


def _plain_start(conn: Connection, request_id: UUID) -> None:
    values = {"request_id": request_id, "operation": OPERATION, "prefix": PREFIX, "lease": LEASE}
    conn.execute(_PLAIN_START, values)
    _plain_event(conn, request_id, Status.PENDING, Status.GENERATING)


def _plain_complete(conn: Connection, request_id: UUID) -> None:
    conn.execute(_PLAIN_COMPLETE, {"request_id": request_id, "urls": URLS})
    _plain_event(conn, request_id, Status.GENERATING, Status.COMPLETED)


def _plain_event(conn: Connection, request_id: UUID, old: Status, new: Status) -> None:
    conn.execute(
        _PLAIN_EVENT,
        {
            "request_id": request_id,
            "event_type": "status_changed",
            "event_data": {"from": old, "to": new},
        },
    )
