"""Our command, in which a worker that is to end has no more than a moment for it."""

from typing import Final

from bot.cli import main
from workers import leaving

MOMENT: Final = 3.0
"""Seconds; far more than an end takes that nothing holds up."""

if __name__ == "__main__":
    vars(leaving)["WITHIN"] = MOMENT
    main()
