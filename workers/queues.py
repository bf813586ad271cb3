"""How far the queues are worked off: what is still under way, and what must have been lost."""

import json
from datetime import UTC, datetime
from typing import Final

from workers.app import SENT_AT, app
from workers.broker import channel

NOTHING: Final = datetime.min.replace(tzinfo=UTC)
"""Before every message."""


def taken_up_to(*, patience: float) -> dict[str, datetime]:
    """Up to when what was sent to a queue has been taken by a worker, by queue.

    Queues are first in, first out: whatever was sent before the message that is next has been
    taken, or was lost. Of one that does not tell when it was sent, nothing is known.

    Redis may take `patience` seconds for each answer. Raises BrokerUnavailable.
    """
    names = [queue.name for queue in app.conf.task_queues]
    now = datetime.now(UTC)
    with channel(patience) as found, found.client.pipeline(transaction=True) as pipe:
        for name in names:
            pipe.lindex(name, -1)
        heads = pipe.execute()
    return {
        name: now if head is None else _sent_at(head)
        for name, head in zip(names, heads, strict=True)
    }


def _sent_at(message: bytes) -> datetime:
    try:
        return datetime.fromisoformat(json.loads(message)["headers"][SENT_AT])
    except (ValueError, KeyError, TypeError):
        return NOTHING
