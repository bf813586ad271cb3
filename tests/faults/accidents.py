"""What goes wrong, done from outside to a system that works, with nobody's consent.

An accident leaves the system able to go on: what was killed is started again, what was frozen
thaws. Each has a bound: how long after it the last request may take to end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults import own, stores, two
from tests.faults.others import OTHERS
from tests.faults.stage import RESCUE_AFTER, TIMEOUT, Stage
from workers.app import VISIBILITY_TIMEOUT
from workers.delivering import LEASE, LEASES

CALL: Final = 0.4 * TIMEOUT
"""Seconds of a call to Vertex AI at most, by its four waits."""
SLACK: Final = 20.0
"""Seconds that all the rest may take on a busy machine."""
USUAL: Final = max(TIMEOUT + CALL + RESCUE_AFTER, LEASE.total_seconds()) + SLACK
"""Whatever is lost is looked for after the first, and a request of which nothing comes ends by its
time; the answer of whoever dies while giving it is looked at again when his lease is over."""

AFTER_AN_OUTAGE: Final = USUAL + 2 * RESCUE_AFTER
"""Nobody sends anything again before: what went on without Postgres is written down meanwhile."""


TWO_AT_ONCE: Final = AFTER_AN_OUTAGE + LEASES * LEASE.total_seconds()
"""Should nobody know any more that it was answered, it is answered again after so many leases."""


@dataclass(frozen=True)
class Accident:
    """What happens, and how long it may be felt."""

    happen: Callable[[Stage], None]
    #: Seconds from its end until everything has ended.
    within: float = USUAL
    #: Whether it takes so long by itself that a soak of a few minutes goes without.
    is_long: bool = False


ACCIDENTS: Final[dict[str, Accident]] = {
    "pool child SIGKILL": Accident(own.child_dies),
    "worker SIGKILL": Accident(own.worker_dies),
    "worker's main process SIGKILL": Accident(own.head_dies),
    "worker frozen": Accident(own.worker_freezes),
    "deployment, SIGTERM": Accident(own.deployment),
    "deployment, SIGQUIT": Accident(own.hasty_deployment),
    "beat SIGKILL": Accident(own.beat_dies),
    "two beats": Accident(own.two_beats),
    "bot SIGTERM": Accident(own.bot_is_deployed),
    "bot SIGKILL": Accident(own.bot_dies),
    # What a worker held that dies with the bot comes back after that, should nobody send it again.
    "all processes SIGKILL": Accident(own.power_fails, USUAL + VISIBILITY_TIMEOUT),
    "Redis flushed": Accident(stores.redis_forgets),
    "Redis frozen": Accident(stores.redis_freezes),
    "Redis frozen for long": Accident(stores.redis_freezes_for_long, is_long=True),
    "Redis restarted": Accident(stores.redis_is_restarted),
    "Redis restarted, empty": Accident(stores.redis_is_restarted_empty),
    "Redis away for 65 s": Accident(stores.redis_is_away, is_long=True),
    "Postgres frozen": Accident(stores.postgres_freezes, AFTER_AN_OUTAGE),
    "Postgres closes all connections": Accident(stores.postgres_throws_out, AFTER_AN_OUTAGE),
    "Postgres restarted": Accident(stores.postgres_is_restarted, AFTER_AN_OUTAGE),
    "Postgres killed, 5 s away": Accident(stores.postgres_dies, AFTER_AN_OUTAGE),
    "Postgres away for 25 s": Accident(stores.postgres_is_away, AFTER_AN_OUTAGE, is_long=True),
    "Postgres out of connections": Accident(stores.postgres_is_full, AFTER_AN_OUTAGE, is_long=True),
    "Postgres lost by the workers": Accident(
        own.workers_lose_postgres, AFTER_AN_OUTAGE, is_long=True
    ),
    **{name: Accident(happen) for name, happen in OTHERS.items()},
    # At the end: the place says who asks for what.
    "Redis closes connections for 12 s": Accident(stores.redis_throws_out, is_long=True),
    "Redis out of memory": Accident(stores.redis_is_full, is_long=True),
    "Postgres away, Redis flushed": Accident(
        two.redis_forgets_in_an_outage, TWO_AT_ONCE, is_long=True
    ),
    "Postgres away, Redis out of memory": Accident(
        two.redis_is_full_in_an_outage, TWO_AT_ONCE, is_long=True
    ),
    "Postgres away, workers SIGKILL": Accident(
        two.workers_die_in_an_outage, TWO_AT_ONCE, is_long=True
    ),
    "worker SIGKILL and Postgres killed": Accident(
        two.workers_and_postgres_die, TWO_AT_ONCE, is_long=True
    ),
}
