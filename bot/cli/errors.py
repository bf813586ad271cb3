"""How a command ends that does not end well: one sentence, and an exit status (NM)."""

from typing import Final

import click

FAILED: Final = 1
BAD_INPUT: Final = 2
REFUSED: Final = 3
UNFINISHED: Final = 4
"""The request failed, was filtered or timed out."""


class CommandFailed(click.ClickException):
    """Ends the command with `message` on stderr and `status`."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
