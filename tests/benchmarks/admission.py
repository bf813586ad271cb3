"""Admission and refusal against a plain INSERT: what the limit and the event cost a request."""

from db.standing import Outcome
from tests.benchmarks.filling import BUSY_USER
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, measure
from tests.benchmarks.samples import admission, plain_insert

ADMISSION_BOUND = 1.35
REFUSAL_BOUND = 0.7


def run(ground: Ground) -> list[Comparison]:
    """Everything on one connection in autocommit, as the chain admits."""
    with ground.database.autocommit() as conn:
        timings = measure(
            {
                "plain INSERT": plain_insert(conn),
                "admission": admission(conn, expected=Outcome.ADMITTED),
                "refusal": admission(conn, expected=Outcome.REFUSED, user_id=BUSY_USER),
            },
            ground.samples,
        )
    base = timings["plain INSERT"]
    return [
        Comparison("admission of a new user", timings["admission"], base, ADMISSION_BOUND),
        Comparison("refusal of a user with 1,000", timings["refusal"], base, REFUSAL_BOUND),
    ]
