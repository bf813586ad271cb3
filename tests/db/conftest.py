"""What the tests of reads share."""

from collections.abc import Iterator

import pytest

from db.engine import Database
from db.settings import DatabaseSettings
from tests.conftest import MakeDatabase


@pytest.fixture(scope="module")
def table(make_database: MakeDatabase, template: str) -> Iterator[Database]:
    """A table that each example finds empty."""
    with make_database(template) as address:
        database = Database(DatabaseSettings.model_validate({"database_url": address}))
        yield database
        database.close()
