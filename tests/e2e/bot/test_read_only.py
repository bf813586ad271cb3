"""What the bot does while Postgres can be read and not written, as at a failover (DG1)."""

from collections.abc import Iterator

import pytest

from bot.discord import sentences
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio
from tests.e2e.discord import Person
from tests.workers.waiting import until


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Iterator[Studio]:
    found = new_studio(DAILY_LIMIT=2)
    with found.bot():
        yield found


def test_dg1_nobody_spends_without_bound_where_nothing_counts(studio: Studio, ana: Person) -> None:
    """Every look at the limits finds them untouched: the ceiling of an outage holds then, too."""
    with studio.system.postgres_read_only():
        for number in range(3):
            asked = ana.slash("veo", {"prompt": f"kite number {number} over a park"})
            asked.wait_until_answered()
    assert asked.content == sentences.CEILING_REACHED
    until(lambda: len(studio.system.broker.messages()) == 2, what="two are on their way")
    assert len(studio.system.processes[0].said("Rate limiting degraded")) == 3
