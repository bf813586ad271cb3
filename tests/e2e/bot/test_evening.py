"""A person's evening, with the answers that the worker gives."""

from collections.abc import Iterator

import pytest

from bot.discord import sentences
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, texts
from tests.e2e.discord import Person


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Iterator[Studio]:
    found = new_studio(SANDBOX_SECONDS=1, DAILY_LIMIT=3)
    found.system.start_worker()
    with found.bot():
        yield found


def test_an_evening(studio: Studio, ana: Person) -> None:
    asked = ana.slash("veo", {"prompt": "a red kite over a grassy park"})
    asked.wait_for(lambda it: it.attachments, "the video")
    # What it was told meanwhile, and at the end nothing of it is left.
    assert len(asked.history) > 1
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
    # Two of the three are left to be seen, and then none.
    assert "a blue kite at night" in texts(ana.slash("history").wait_until_answered())
    sure = ana.slash("mydata forget").wait_for_text(sentences.FORGET_ALL)
    ana.click(sure, "Delete everything")
    sure.wait_for_text("of your requests are deleted.")
    assert "There are none." in texts(ana.slash("history").wait_until_answered())
    assert not [row for row in studio.requests_of(ana) if row.prompt]
    # The limit is as full as it was.
    ana.slash("veo", {"prompt": "one more kite"}).wait_for_text(
        "All 3 videos of the last 24 hours are used."
    )
