"""``/veo`` where the provider can be told more: model, negative prompt, seed (DC1)."""

from collections.abc import Iterator

import pytest

from bot.discord import sentences
from db.records import Request
from db.states import Status
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, id_of, texts, wait_until_said
from tests.e2e.discord import FakeDiscord, Guild, Interaction, NotOffered, Person
from tests.e2e.google import scripts
from tests.e2e.google.studio import Google, google
from workers.retirement import NONE_STAYS

LITE = "Veo 3.1 Lite, from $0.03 a second"
BESIDES = {"model": LITE, "negative_prompt": "no *rain*", "seed": 4_294_967_295}
LITE_MODEL = "veo-3.1-lite-generate-001"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio, there: Google) -> Iterator[Studio]:
    """Veo is asked every second."""
    found = new_studio(**there.environment, GENERATION_TIMEOUT_SECONDS=60, DAILY_LIMIT=20)
    found.system.start_worker()
    with found.bot(BLOCKED_WORDS="blood"):
        yield found


def row_of(studio: Studio, asked: Interaction) -> Request:
    wait_until_said(asked, "goes into the queue")
    [row] = studio.system.wait_until_ended([id_of(asked)])
    return row


def test_models_are_offered_with_their_prices(studio: Studio) -> None:
    commands = studio.discord.world.commands.values()
    [veo] = (each for each in commands if each["name"] == "veo")
    [model] = (each for each in veo["options"] if each["name"] == "model")
    assert [each["name"] for each in model["choices"]] == [
        "Veo 3.1 Fast, from $0.08 a second",
        "Veo 3.1, from $0.20 a second",
        LITE,
    ]
    assert model["description"] == "Who makes it (Veo 3.1 Fast)"


@pytest.mark.parametrize(
    "options", [{"model": "Veo 2"}, {"seed": 4_294_967_296}, {"negative_prompt": "n" * 601}]
)
def test_nothing_wrong_is_offered(studio: Studio, ana: Person, options: dict[str, object]) -> None:
    assert studio.discord.commands()
    with pytest.raises(NotOffered):
        ana.slash("veo", {"prompt": "a red kite", **options})


def test_what_is_asked_for_is_priced_made_and_told(
    studio: Studio, there: Google, ana: Person
) -> None:
    prompt = "a red kite, told more"
    asked = ana.slash("veo", {"prompt": prompt, "duration": "8 seconds", **BESIDES})
    row = row_of(studio, asked)
    assert asked.history[0].content.endswith("; $0.40.")
    assert row.status is Status.COMPLETED
    assert (row.model, row.negative_prompt, row.seed) == (LITE_MODEL, "no *rain*", 4_294_967_295)
    [body] = there.vertex.starts(prompt)
    assert body["parameters"]["negativePrompt"] == "no *rain*"
    assert body["parameters"]["seed"] == 4_294_967_295
    told = f"{LITE_MODEL} · seed 4294967295 · without \u2068no \\*rain\\*\u2069"
    asked.wait_for_text(told)
    shown = ana.slash("video", {"id": str(row.id)}).wait_for_text(f"{LITE_MODEL} · seed 4294967295")
    assert "no \\*rain\\*" in texts(shown).replace("\\\\", "\\")
    assert "no *rain*" not in studio.system.log


def test_a_model_that_went_since_the_command_was_registered_is_refused_at_once(
    studio: Studio, there: Google, ana: Person
) -> None:
    with studio.discord.world.moving():
        [veo] = (e for e in studio.discord.world.commands.values() if e["name"] == "veo")
        [model] = (each for each in veo["options"] if each["name"] == "model")
        model["choices"].append({"name": "Veo 2", "value": "veo-2.0-generate-001"})
    prompt = "a red kite of old"
    asked = ana.slash("veo", {"prompt": prompt, "model": "Veo 2"}).wait_until_answered()
    assert asked.is_ephemeral
    assert asked.content.startswith("Google retired the model veo-2.0-generate-001 on 2026-06-30")
    assert not studio.requests_of(ana)
    assert not there.vertex.starts(prompt)


def test_a_blocked_word_is_blocked_in_what_is_not_to_be_seen_too(
    studio: Studio, ana: Person
) -> None:
    asked = ana.slash("veo", {"prompt": "a red kite", "negative_prompt": "blood"})
    assert asked.wait_until_answered().content == sentences.blocked("blood")
    assert not studio.requests_of(ana)


def test_again_and_retry_keep_what_was_asked_for_and_only_retry_the_seed(
    studio: Studio, there: Google, ana: Person
) -> None:
    prompt = there.vertex.arrange("a red kite, tried twice", ending=scripts.fails(13, "internal"))
    first = ana.slash("veo", {"prompt": prompt, **BESIDES})
    assert row_of(studio, first).status is Status.FAILED
    there.vertex.arrange(prompt)
    retry = ana.click(first.wait_for_text("was not made"), "Retry")
    row = row_of(studio, retry)
    kept = (LITE_MODEL, "no *rain*")
    assert (row.status, row.seed) == (Status.COMPLETED, 4_294_967_295)
    assert (row.model, row.negative_prompt) == kept
    again = ana.click(retry.wait_for_text("your video is ready"), "Again")
    row = row_of(studio, again)
    assert row.seed is None
    assert (row.model, row.negative_prompt) == kept


def test_a_model_that_is_about_to_be_retired_is_warned_of(
    studio: Studio, discord: FakeDiscord, guild: Guild
) -> None:
    owner = discord.new_person("owner", guild)
    discord.world.owner = owner.user
    shown = owner.slash("dashboard").wait_for_text("2026-11-17")
    assert "veo-3.1-fast-generate-001" in texts(shown)
    for process in studio.system.processes:
        [line] = process.said("model_retires")
        assert (line["level"], line["remedy"]) == ("warning", NONE_STAYS)
