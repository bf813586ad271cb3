"""The tests, and beside them ``python -m tests.faults`` and ``python -m tests.benchmarks``."""

import sys
from importlib.util import find_spec

if find_spec("pytest") is None:
    sys.exit("The tests need libraries of their own: pip install -e '.[test]'")
