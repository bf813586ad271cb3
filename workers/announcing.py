"""Having the end of a request told, by whoever wrote it."""

from db.records import Request
from workers import chain, memory
from workers.context import Context


def announce(context: Context, ended: Request) -> None:
    """Have the answer delivered, where there is somebody to tell. Never raises."""
    if ended.delivery_due_at is None:
        memory.forget(ended.id)
    else:
        memory.keep_sent(context, ended)
    chain.announce(ended)
