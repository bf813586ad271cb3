"""A person's evening, with the answers that the worker gives."""

from collections.abc import Iterator

import pytest

from bot.discord import sentences
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio
from tests.e2e.discord import Person


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Iterator[Studio]:
    found = new_studio(SANDBOX_SECONDS=1, DAILY_LIMIT=3)
    found.system.start_worker()
    with found.bot():
        yield found


@pytest.mark.usefixtures("studio")
def test_an_evening(ana: Person) -> None:
    asked = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
    asked.wait_for(lambda it: it.attachments, "the video")
    opened = ana.click(asked, "Remix").wait_until_answered()
    remix = ana.submit(opened, {"prompt": "a blue kite at night"})
    remix.wait_for(lambda it: it.attachments, "the remix")
    again = ana.click(remix, "Again")
    again.wait_for(lambda it: it.attachments, "the same once more")
    refused = ana.click(remix, "Again")
    refused.wait_for_text("All 3 videos of the last 24 hours are used.")
    done = ana.click(asked, "Delete").wait_until_answered()
    assert done.content == sentences.deleted("ended")
    asked.world.wait_for(lambda: asked.message.is_deleted, "the message goes")
