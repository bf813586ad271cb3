"""The order in which a worker looks into its queues."""

from typing import TYPE_CHECKING, Any

from kombu.utils.scheduling import round_robin_cycle

from workers.app import ENDING

if TYPE_CHECKING:
    Cycle = round_robin_cycle[Any]
else:
    # Its type has a parameter in the stubs alone.
    Cycle = round_robin_cycle


class EndingsFirst(Cycle):
    """Each in turn, but for that of endings, which comes first.

    A poll that finds a video sends one message there. Were they taken turn about, a queue of
    endings that has become longer than its messages live would never become shorter: each has
    expired when its turn comes, and the poll that sent it is made anew, and sends another.
    """

    def consume(self, n: int) -> list[str]:  # type: ignore[override]
        """The names of `n` queues."""
        return sorted(super().consume(n), key=lambda name: name != ENDING)
