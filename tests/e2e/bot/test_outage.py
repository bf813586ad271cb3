"""What the bot does while Postgres is away and nothing is to be made without it (DG1)."""

from collections.abc import Iterator

import pytest

from bot.discord import sentences
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio
from tests.e2e.discord import Person


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Iterator[Studio]:
    found = new_studio(DATABASE_OUTAGE="refuse")
    with found.bot():
        yield found


def test_whoever_asks_is_told_to_come_back(studio: Studio, ana: Person) -> None:
    with studio.system.postgres_away():
        asked = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
        asked.wait_for_text(sentences.OUTAGE)
    assert not studio.system.broker.messages()
    [line] = studio.system.processes[0].said("request_declined")
    assert line["level"] == "warning"
    assert not studio.system.processes[0].said("Rate limiting degraded")
