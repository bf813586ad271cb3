"""What a worker tells Flower of its tasks and of itself.

Celery tells each event by a message of its own, and waits for Redis to take it, which took two
fifths of the main process's time (see ``tests/benchmarks``). Here they are told together.

And it insists on its heartbeats: if one is due while Redis is away, the main process does nothing
but try it again until Redis is back, not even end when it is told to.
"""

from typing import Any, Final

from celery import bootsteps
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher

TOLD_WITHIN: Final = 0.1
"""Seconds that the event of a task waits for others, to be told with them; it has its own time."""


class Heard(EventDispatcher):
    """Celery's own, which tries nothing twice: the next heartbeat comes in two seconds."""

    def send(self, *args: Any, **fields: Any) -> Any:
        """Tell an event; where Redis is away, Celery keeps it until it has connected anew."""
        return super().send(*args, **{**fields, "retry": False})


class Told(Events):
    """Celery's own, with that dispatcher."""

    dispatcher_cls = f"{__name__}:Heard"


class Together(bootsteps.StartStopStep):
    """Has the events of a worker's tasks told together, not a message to Redis for each."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._is_due = False

    def start(self, parent: Any) -> None:
        """Begin, at every connection."""
        if parent.hub is not None and parent.event_dispatcher is not None:
            parent.event_dispatcher.on_send_buffered = lambda: self._wait(parent)

    def stop(self, parent: Any) -> None:
        """Tell the rest, and nothing again that could not be told before."""
        self._tell(parent)

    def shutdown(self, parent: Any) -> None:
        """Tell of the tasks that have ended since, for which the worker has waited."""
        self._tell(parent)

    def _wait(self, parent: Any) -> None:
        if not self._is_due:
            self._is_due = True
            parent.timer.call_after(TOLD_WITHIN, self._tell, (parent,))

    def _tell(self, parent: Any) -> None:
        self._is_due = False
        if parent.event_dispatcher is not None:
            parent.event_dispatcher.flush(errors=False)
