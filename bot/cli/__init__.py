"""The ``video-bot`` command."""

import os
import sys
from typing import Final, NoReturn

from bot.cli.interruptions import heard

INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Run the command line and exit with its status.

    The commands are imported in here, so that an interruption ends even their import in order.
    """
    if sys.stdout is None:
        # It was closed: nobody reads it, and no file is to take its place.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 -- as long as the process lives
    try:
        with heard():
            from bot.cli.commands import run

            status = run()
    except KeyboardInterrupt:
        status = INTERRUPTED
    # Started with -m, Python would kill itself with SIGINT instead of exiting, once an
    # interruption has passed through an exec, of which imports are full. The next exec clears that.
    exec("")  # noqa: S102
    sys.exit(status)
