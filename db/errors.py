"""What can go wrong between us and Postgres, in a few errors of our own."""

from uuid import UUID

from db.states import Status


class DatabaseError(Exception):
    """Any of the errors below, or by itself a statement that Postgres refused.

    The message is for operators, never for users (DG6).
    """


class DatabaseUnavailable(DatabaseError):
    """Postgres cannot be reached or did not answer in time. Transient: trying again may help."""


class PoolExhausted(DatabaseUnavailable):
    """Every connection of this process is in use and none came free in time (DG5)."""


class NotMigrated(DatabaseError):
    """The database lacks a table, a column or a function that this program works with."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The database is not migrated as this program needs it ({what}): "
            "video-bot db migrate brings it up to date"
        )


class RequestNotFound(DatabaseError):
    """There is no request with this id."""

    def __init__(self, request_id: UUID) -> None:
        super().__init__(f"There is no request {request_id}")


class InvalidStatusTransition(DatabaseError):
    """A move that the state machine does not know (RT2). Nothing was written."""

    def __init__(self, request_id: UUID, old: Status, new: Status) -> None:
        super().__init__(f"Invalid status transition: {old} to {new} (request {request_id})")
        self.old = old
        self.new = new


class ClaimLost(DatabaseError):
    """The request waits for its start, but the caller's claim to start it does not stand."""

    def __init__(self, request_id: UUID) -> None:
        super().__init__(f"The claim to start request {request_id} does not stand")


class LaterRelease(DatabaseError):
    """A request was made by a later release than this, and has what is not known here.

    Transient, as an upgrade is: who knows it gets it when it is tried again.
    """
