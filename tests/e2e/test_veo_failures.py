"""Every failure of Veo on Vertex AI, from Discord and back: the row, the words, the log, the calls.

A real worker, Postgres and Redis; Vertex AI, Cloud Storage and Discord on local ports. All requests
of a module are under way at once, for some of them end by the clock.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import pytest

from db.records import Request
from db.states import Status
from tests.e2e.delivery import Asked, Studio
from tests.e2e.discord import fake_discord
from tests.e2e.google import scripts
from tests.e2e.google.clip import clip
from tests.e2e.google.scripts import Accident, Ending
from tests.e2e.google.studio import Google, veo_studio
from tests.workers.conftest import MakeSystem

TIMEOUT: Final = 20
"""Seconds that a request has, of which the search for what is unknown begins with the ninth."""
NOT_THE_PROMPT: Final = "The video service cannot be used at the moment."
TIMED_OUT: Final = "Generation timed out after 20 seconds"


@dataclass(frozen=True)
class Case:
    """What Google does, and all that is to be seen of it."""

    starts: tuple[Accident, ...] = ()
    polls: tuple[Accident, ...] = ()
    ending: Ending = field(default_factory=scripts.made)
    status: Status = Status.COMPLETED
    code: str | None = None
    #: The answer in Discord has these words.
    says: tuple[str, ...] = ("your video is ready.",)
    #: The line of the log, and what its reason tells.
    event: str | None = None
    reason: str = ""
    calls: int = 1
    is_billed: bool = True


def prompt_of(name: str) -> str:
    """Longer than what a log may tell of it."""
    return f"a red fox in the snow under a tall old tree at night, and Google says: {name}"


def refused(accident: Accident, code: str, *says: str, reason: str) -> Case:
    return Case(
        starts=(accident,),
        status=Status.FAILED,
        code=code,
        says=says,
        event="start_refused",
        reason=reason,
        is_billed=False,
    )


def unknown(accident: Accident, *, reason: str) -> Case:
    """Once taken, it is found in the bucket; never taken, it ends by the clock."""
    is_found = accident.is_taken
    return Case(
        starts=(accident,),
        status=Status.COMPLETED if is_found else Status.TIMEOUT,
        code=None if is_found else "timeout",
        says=("your video is ready.",) if is_found else (TIMED_OUT, "Retry"),
        event="start_outcome_unknown",
        reason=reason,
        is_billed=is_found,
    )


def failed(ending: Ending, code: str, *says: str, reason: str) -> Case:
    return Case(
        ending=ending,
        status=Status.FAILED,
        code=code,
        says=says,
        event="generation_failed",
        reason=reason,
        is_billed=False,
    )


def asked_again(accident: Accident, *, reason: str) -> Case:
    return Case(polls=(accident,), event="poll_failed", reason=reason)


CASES: Final[Mapping[str, Case]] = {
    "nothing goes wrong": Case(),
    "400": refused(
        scripts.refuses(400, "Unsupported value for durationSeconds."),
        "invalid_request",
        "did not accept these parameters.",
        "Please ask with other parameters.",
        reason="400 INVALID_ARGUMENT: Unsupported value",
    ),
    "400 for the prompt": refused(
        scripts.refuses(400, "The prompt goes against Google's usage guidelines."),
        "prompt_refused",
        "makes no video of this prompt.",
        "Please ask with other words.",
        reason="usage guidelines.; Google's usage policy",
    ),
    "401": refused(
        scripts.refuses(401),
        "setup",
        NOT_THE_PROMPT,
        "This is not your prompt's fault.",
        "An operator finds it by its number",
        reason="look at GOOGLE_APPLICATION_CREDENTIALS",
    ),
    "403": refused(
        scripts.refuses(403),
        "setup",
        NOT_THE_PROMPT,
        "An operator finds it by its number",
        reason="the account needs roles/aiplatform.user",
    ),
    "404": refused(
        scripts.refuses(404),
        "model_unavailable",
        "is not available any more.",
        "Please choose another model.",
        reason="Google has retired the model",
    ),
    "429, and then room": Case(
        starts=(scripts.refuses(429, "Quota exceeded."),),
        event="start_not_taken",
        reason="429 RESOURCE_EXHAUSTED: Quota exceeded.",
        # The first was certainly not taken.
        calls=2,
    ),
    "500": unknown(scripts.refuses(500), reason="500 INTERNAL"),
    "503, and taken": unknown(scripts.refuses(503, is_taken=True), reason="503 UNAVAILABLE"),
    "no answer in time": unknown(scripts.hangs(is_taken=False), reason="ReadTimeout"),
    "no answer in time, and taken": unknown(scripts.hangs(is_taken=True), reason="ReadTimeout"),
    "cut before it was taken": unknown(
        scripts.cuts(is_taken=False), reason="Vertex AI did not answer"
    ),
    "cut after it was taken": unknown(
        scripts.cuts(is_taken=True), reason="Vertex AI did not answer"
    ),
    "a page of HTML": unknown(
        scripts.says("<html>Sign in</html>", content_type="text/html"),
        reason="no answer that makes sense",
    ),
    "no name": unknown(scripts.says({}), reason="without the name of an operation"),
    "the operation was refused": failed(
        scripts.fails(3, "Unsupported."),
        "refused",
        "could not make a video of this request.",
        reason="failed with 3 INVALID_ARGUMENT: Unsupported.",
    ),
    "the bucket was closed to it": failed(
        scripts.fails(7, "The service agent does not have storage.objects.create access."),
        "setup",
        NOT_THE_PROMPT,
        reason="may Vertex AI write to the bucket",
    ),
    "the operation found no room": failed(
        scripts.fails(8, "High load."),
        "busy",
        "too busy to make this video.",
        "Retry",
        reason="failed with 8 RESOURCE_EXHAUSTED: High load.",
    ),
    "the operation broke": failed(
        scripts.fails(13, "Internal error."),
        "provider_error",
        "Trying again may help.",
        "Retry",
        reason="failed with 13 INTERNAL: Internal error.",
    ),
    "the operation was unavailable": failed(
        scripts.fails(14, "Try again."),
        "provider_error",
        "Trying again may help.",
        "Retry",
        reason="failed with 14 UNAVAILABLE: Try again.",
    ),
    "the operation tells the prompt": failed(
        scripts.fails(3, f"Not this: {prompt_of('the operation tells the prompt')}."),
        "refused",
        "could not make a video of this request.",
        reason="failed with 3 INVALID_ARGUMENT: Not this: ….; the request was found wrong",
    ),
    "filtered": failed(
        scripts.filters("The video was blocked. Support codes: 61493863"),
        "filtered",
        "The safety filter held the video back, because it may show violence.",
        "Other words help most",
        reason="support codes 61493863 (violence)",
    ),
    "fewer than asked": Case(ending=scripts.filters("Support codes: 61493863", videos=1)),
    "done without a video": Case(
        ending=scripts.made(videos=0),
        status=Status.FAILED,
        code="no_video",
        says=("finished without a video.", "Retry"),
        event="outputs_unavailable",
        reason="there is no video yet",
    ),
    "a poll: 429": asked_again(scripts.refuses(429), reason="429 RESOURCE_EXHAUSTED"),
    "a poll: 503": asked_again(scripts.refuses(503), reason="503 UNAVAILABLE"),
    "a poll: the prompt": asked_again(
        scripts.refuses(503, f"Not now: {prompt_of('a poll: the prompt')}."),
        reason="503 UNAVAILABLE: Not now: ….",
    ),
    "a poll: 404": asked_again(scripts.refuses(404), reason="404 NOT_FOUND"),
    "a poll: cut": asked_again(scripts.cuts(is_taken=False), reason="was not reached"),
    "a poll: no answer": asked_again(scripts.hangs(is_taken=False), reason="ReadTimeout"),
    "a poll: HTML": asked_again(
        scripts.says("<html>", content_type="text/html"), reason="no answer that makes sense"
    ),
}


@dataclass(frozen=True)
class Evening:
    """One Google, one worker, and everything that was asked for."""

    there: Google
    studio: Studio
    asked: Mapping[str, Asked]


@pytest.fixture(scope="module")
def evening(
    make_shared_system: MakeSystem, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evening]:
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        there, studio = veo_studio(
            stack,
            make_shared_system,
            discord,
            tmp_path_factory.mktemp("google"),
            GENERATION_TIMEOUT_SECONDS=TIMEOUT,
            FAILED_REQUESTS_COUNT="false",
            LOG_LEVEL="debug",
        )
        studio.system.start_worker(concurrency=4)
        ana = discord.new_person("ana", discord.new_guild())
        asked = {}
        for name, case in CASES.items():
            prompt = there.vertex.arrange(
                prompt_of(name), *case.starts, polls=case.polls, ending=case.ending
            )
            asked[name] = studio.ask(ana, prompt=prompt)
        yield Evening(there, studio, asked)


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def row(evening: Evening, name: str) -> Request:
    """The request, when all is over."""
    evening.studio.wait_until_delivered(evening.asked[name])
    return evening.studio.system.row(evening.asked[name].id)


def test_the_row(row: Request, name: str) -> None:
    case = CASES[name]
    assert (row.status, row.error_code) == (case.status, case.code)
    assert row.billed is case.is_billed
    assert row.counted is case.is_billed
    assert row.cost_usd == 4 * Decimal("0.08")
    assert row.model == "veo-3.1-fast-generate-001"


def test_the_calls(evening: Evening, row: Request, name: str) -> None:
    assert row.completed_at
    calls = evening.there.vertex.starts(prompt_of(name))
    assert len(calls) == CASES[name].calls
    # All of them for the same place, which nobody else writes to.
    assert {each["parameters"]["storageUri"] for each in calls} == {
        f"gs://video-bot-videos/{row.id}/"
    }


def test_the_words(evening: Evening, row: Request, name: str) -> None:
    answer = evening.asked[name].answer
    for words in CASES[name].says:
        assert words in answer.content.replace("\\", "")
    if row.status is Status.COMPLETED:
        [video] = answer.attachments
        assert video.content == clip()
    else:
        assert not answer.attachments
    if not row.billed:
        assert "nothing was billed" in answer.content


def test_the_log(evening: Evening, row: Request, name: str) -> None:
    lines = evening.studio.system.lines_about(row.id)
    case = CASES[name]
    found = [line for line in lines if line["event"] == case.event]
    assert bool(found) is (case.event is not None)
    if found:
        assert case.reason in found[0]["reason"]
    worse = {line["event"] for line in lines if line["level"] in ("warning", "error")}
    # What goes well is no warning, and what does not is one of one kind.
    assert worse <= {case.event}


def test_a_model_that_was_retired_costs_no_call(evening: Evening) -> None:
    ana = evening.asked["nothing goes wrong"].person
    prompt = evening.there.vertex.arrange("a red fox of former days")
    asked = evening.studio.ask(ana, prompt=prompt, model="veo-3.0-generate-001")
    asked.answer.wait_for_text("Google retired the model veo-3.0-generate-001 on 2026-06-30;")
    assert evening.studio.system.find(asked.id) is None
    assert not evening.there.vertex.starts(prompt)


def test_lg2_no_line_tells_a_token_a_key_or_a_prompt(evening: Evening) -> None:
    for asked in evening.asked.values():
        evening.studio.wait_until_delivered(asked)
    log = evening.studio.system.log
    assert "predictLongRunning" not in log
    for secret in ("ya29.", "PRIVATE KEY", "Bearer ", "Google says"):
        assert secret not in log
