"""What Discord says when it refuses (Topics, "Opcodes and Status Codes", "JSON Error Codes")."""

from typing import Any, Final

Json = dict[str, Any]

MESSAGES: Final[dict[int, tuple[int, str]]] = {
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50035: (400, "Invalid Form Body"),
    50109: (400, "The request body contains invalid JSON."),
}
"""Code: status and message."""


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.body: Json = {"message": message, "code": code}
        if errors is not None:
            self.body["errors"] = errors


def refusal(code: int, errors: Json | None = None) -> Refusal:
    """The refusal of that code."""
    status, message = MESSAGES[code]
    return Refusal(status, code, message, errors)


def plain(status: int, reason: str) -> Refusal:
    """A refusal that has no code of its own."""
    return Refusal(status, 0, f"{status}: {reason}")
