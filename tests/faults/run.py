"""A plugin for pytest: where the tests write their lines, for whoever has started the run."""

import pytest

LINES = "--lines"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.addoption(LINES, help="A file to which each line of the table is appended, as JSON.")
