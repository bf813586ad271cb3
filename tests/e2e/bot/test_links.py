"""A video in Cloud Storage, from `/veo` to its removal: attached, or by a link that works now."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from bot.discord import sentences
from db.records import Request
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, id_of, texts
from tests.e2e.discord import Interaction, Person
from tests.e2e.google.clip import clip
from tests.e2e.google.cloud import BUCKET
from tests.e2e.google.front import cloud_run
from tests.e2e.google.studio import Google, google
from workers.delivering import ATTACHABLE

PROMPT = "a lighthouse in a storm"
LINK = re.compile(r"\[Watch the video\]\(<(http://[^>]+)>\)")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found
        assert not found.vertex.violations


@pytest.fixture(scope="module")
def studio(
    new_studio: NewStudio, there: Google, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Studio]:
    # Half a second between polls.
    found = new_studio(**there.environment, GENERATION_TIMEOUT_SECONDS=15)
    found.system.start_worker()
    there.accounts.attached = there.cloud.account
    there.accounts.signers.add(there.cloud.account.email)
    # The worker signs with its key; the bot has none, as on Cloud Run.
    folder = tmp_path_factory.mktemp("keyless")
    with cloud_run(there.accounts, folder) as keyless, found.bot(**keyless):
        yield found


def make(studio: Studio, there: Google, person: Person, *, size: int = 0) -> Interaction:
    """A video by the whole chain, delivered; of that size, if one is given."""
    prompt = there.vertex.arrange(f"{PROMPT} of {person.id}", seconds=None)
    asked = person.slash("veo", {"prompt": prompt})
    studio.system.wait_for_row(id_of(asked), lambda row: row.started_at is not None)
    if size:
        there.storage.put(BUCKET, f"{id_of(asked)}/0/sample_0.mp4", bytes(size))
    there.vertex.finish(prompt)
    studio.system.wait_for_row(id_of(asked), lambda row: row.delivered_at is not None)
    return asked


@pytest.fixture
def large(studio: Studio, there: Google, ana: Person) -> Interaction:
    """A video that Discord does not take."""
    return make(studio, there, ana, size=ATTACHABLE + 1)


def row(studio: Studio, asked: Interaction) -> Request:
    return studio.system.row(id_of(asked))


def link_in(text: str) -> str:
    found = LINK.search(text)
    assert found, text
    return found[1]


def opens(link: str) -> bool:
    """Whether a browser that knows nothing else gets a video by it."""
    got = requests.get(link, headers={"Range": "bytes=0-0"}, timeout=5)
    return got.status_code == 206 and got.headers["Content-Type"] == "video/mp4"


def test_a_video_is_attached_as_it_lies_in_the_bucket(
    studio: Studio, there: Google, ana: Person
) -> None:
    asked = make(studio, there, ana)
    [attached] = asked.attachments
    assert attached.content == clip()
    [address] = row(studio, asked).video_urls or ()
    assert address.startswith(f"gs://{BUCKET}/{id_of(asked)}/")


def test_a_video_too_large_is_linked_and_the_link_is_written_down_nowhere(
    studio: Studio, large: Interaction, ana: Person
) -> None:
    assert not large.attachments
    assert "too large to be attached" in str(large.content)
    first = link_in(str(large.content))
    assert len(requests.get(first, timeout=5).content) == ATTACHABLE + 1
    # What is kept does not expire.
    addresses = row(studio, large).video_urls
    assert addresses
    assert addresses[0].startswith("gs://")

    shown = ana.slash("video", {"id": str(id_of(large))}).wait_until_answered()
    assert shown.is_ephemeral
    assert opens(link_in(texts(shown)))
    events = str([each.event_data for each in studio.system.events(id_of(large))])
    signature = first.rpartition("X-Goog-Signature=")[2]
    for told in (events, studio.system.log):
        assert "X-Goog" not in told
        assert signature not in told


def test_show_makes_a_link_each_time(studio: Studio, large: Interaction) -> None:
    request_id = str(id_of(large))

    def show(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bot.cli", "show", request_id, *options],
            env={**studio.environment, **environment},
            capture_output=True,
            text=True,
            check=True,
        )

    told = json.loads(show("--json").stdout)
    assert told["video_urls"][0].startswith("gs://")
    assert opens(told["link"])
    said = show().stdout
    assert "The video can be seen at" in said
    # In one piece, to be copied.
    assert opens(said.splitlines()[-1])

    nobody = {"GOOGLE_APPLICATION_CREDENTIALS": "", "NO_GCE_CHECK": "true"}
    without = show("--json", **nobody)
    assert json.loads(without.stdout)["link"] is None
    assert "Only a service account can sign links" in without.stderr


def test_a_link_that_cannot_be_made_is_a_sentence(
    studio: Studio, there: Google, large: Interaction, ana: Person
) -> None:
    there.accounts.signers.clear()
    shown = ana.slash("video", {"id": str(id_of(large))}).wait_until_answered()
    there.accounts.signers.add(there.cloud.account.email)
    assert sentences.NO_LINK in texts(shown)
    assert not LINK.search(texts(shown))
    # The operator reads what to do.
    [line] = studio.system.lines_about(id_of(large))[-1:]
    assert line["event"] == "link_not_made"
    assert "roles/iam.serviceAccountTokenCreator" in line["reason"]
    again = ana.slash("video", {"id": str(id_of(large))}).wait_until_answered()
    assert opens(link_in(texts(again)))


def test_what_somebody_wants_forgotten_is_gone_from_the_bucket(
    studio: Studio, there: Google, ana: Person
) -> None:
    asked = make(studio, there, ana)
    prefix = f"{id_of(asked)}/"
    # The video, and the marks of the call and of the answer.
    assert len(there.storage.names(BUCKET, prefix)) == 3
    confirm = ana.slash("mydata forget").wait_for_text(sentences.FORGET_ALL)
    ana.click(confirm, "Delete everything")
    confirm.wait_for_text("1 of your requests are deleted.")
    assert there.storage.names(BUCKET, prefix) == []
