"""``python -m tests.faults``: all faults and the whole soak, with their tables."""

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    folder = str(Path(__file__).parent)
    sys.exit(pytest.main(["-n", "0", "-s", "-m", "long or not long", folder, *sys.argv[1:]]))
