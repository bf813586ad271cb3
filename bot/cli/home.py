"""Where local systems keep their data."""

import os
from collections.abc import Callable
from pathlib import Path

from db.embedded import closed_to_server


def home(report: Callable[[str], object]) -> Path:
    """Where local systems keep their data.

    Root's own home may be closed to the unprivileged account that PostgreSQL runs as, so root
    has it where the data of services lies. `report` is told why it is not where it is wanted.
    """
    wanted = os.environ.get("XDG_DATA_HOME")
    if os.geteuid() != 0:
        return Path(wanted or Path.home() / ".local" / "share") / "video-bot"
    services = Path("/var/lib/video-bot")
    if not wanted:
        return services
    if closed := closed_to_server(Path(wanted).absolute()):
        report(
            f"XDG_DATA_HOME is not used: PostgreSQL does not run as root, and the account that it "
            f"runs as may not enter {closed}"
        )
        return services
    return Path(wanted) / "video-bot"
