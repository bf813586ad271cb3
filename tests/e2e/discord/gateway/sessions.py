"""Sessions of bots: what each is to hear, in order, whether it is connected or not.

Events, "Gateway": every dispatch has a sequence number; a session outlives its connection, and
who resumes it gets what he missed. An interaction is of no use after its 3 seconds.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.discord.errors import Json
from tests.e2e.discord.world import World


@dataclass(frozen=True)
class Event:
    """A dispatch; its place in the session's list is its sequence number, less one."""

    name: str
    data: Json
    until: float | None = None
    """By Discord's clock; nobody hears of it later."""


@dataclass(eq=False)
class Session:
    """One IDENTIFY, and all that came after."""

    intents: int
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    events: list[Event] = field(default_factory=list)
    is_alive: bool = True
    wake: Callable[[], object] | None = None
    """Tell its connection of news; None while it has none."""


class Sessions:
    """All sessions that can be resumed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        world.emit = self.emit

    def new(self, intents: int) -> Session:
        """A session that begins."""
        with self._world.moving():
            session = Session(intents)
            self._sessions[session.id] = session
            self.identified += 1
            return session

    def find(self, session_id: object) -> Session | None:
        """A session that can be resumed."""
        found = self._sessions.get(str(session_id))
        return found if found is not None and found.is_alive else None

    @property
    def connected(self) -> list[Session]:
        """Those that a bot listens on."""
        return [each for each in self._sessions.values() if each.wake is not None]

    def drop(self, session: Session) -> None:
        """It can no more be resumed."""
        with self._world.moving():
            session.is_alive = False
            self._sessions.pop(session.id, None)

    def drop_all(self) -> None:
        """None can be resumed."""
        for session in list(self._sessions.values()):
            self.drop(session)

    def emit(self, name: str, data: Json, *, intent: int = 0, until: float | None = None) -> None:
        """An event for every session that asked for its kind; without a kind, for all."""
        with self._world.moving():
            for session in self._sessions.values():
                if not intent or session.intents & intent:
                    self.append(session, Event(name, data, until))

    def append(self, session: Session, event: Event) -> None:
        """An event for one session."""
        with self._world.moving():
            session.events.append(event)
            if session.wake:
                session.wake()
