"""The rate check of a user with 1,000 requests in the window, against the least a query can do."""

from sqlalchemy import Connection, text

from db import limits
from tests.benchmarks.filling import BUSY_USER
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Side, measure
from tests.benchmarks.samples import LIMIT

BOUND = 2.0

_ONE = text("SELECT 1")
#: As the seed's document has it.
_SEED = text(
    "SELECT COUNT(*) FROM video_requests "
    "WHERE user_id = :user_id AND created_at >= NOW() - INTERVAL '24 hours'"
)


def run(ground: Ground) -> list[Comparison]:
    """The seed's own query counts them all, and is there to be compared with."""
    with ground.database.autocommit() as conn:
        timings = measure(
            {"SELECT 1": _select_1(conn), "rate check": rate_check(conn), "seed": _seed(conn)},
            ground.samples,
        )
    base = timings["SELECT 1"]
    return [
        Comparison("rate check of a user with 1,000", timings["rate check"], base, BOUND),
        Comparison("the seed's COUNT(*) of that user", timings["seed"], base),
    ]


def rate_check(conn: Connection) -> Side:
    """How the busy user stands."""
    return lambda: lambda: limits.get_rate_limit_info(conn, BUSY_USER, LIMIT)


def _select_1(conn: Connection) -> Side:
    return lambda: lambda: conn.execute(_ONE).one()


def _seed(conn: Connection) -> Side:
    return lambda: lambda: conn.execute(_SEED, {"user_id": BUSY_USER}).one()
