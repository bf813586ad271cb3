"""``video-bot worker``, but that its videos come from :mod:`tests.benchmarks.provider`."""

from bot.cli import main
from workers.providers import PROVIDERS

PROVIDERS["sandbox"] = "tests.benchmarks.provider"

if __name__ == "__main__":
    main()
