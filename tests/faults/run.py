"""A plugin for pytest: what whoever has started the run wants of it, and where the lines go."""

import pytest

LINES = "--lines"
SEED = "--soak-seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    parser.addoption(LINES, help="A file to which each line of the table is appended, as JSON.")
    parser.addoption(SEED, type=int, help="Of the whole soak.")
