"""How an operation stands, as Vertex AI tells it, and what is no answer to that (VD2)."""

import pytest

from tests.e2e.google import scripts
from tests.e2e.google.scripts import Ending
from tests.e2e.google.studio import Google, closed_port
from tests.workers.veo.conftest import asked, prefix_of
from tests.workers.waiting import until
from workers import providers
from workers.providers import Answer, Done, Failed, PollFailed, Provider, Running
from workers.providers.veo.failures import OPERATIONS
from workers.providers.veo.filters import CATEGORIES

TRANSIENT = {
    "429": scripts.refuses(429),
    "500": scripts.refuses(500),
    "503": scripts.refuses(503),
    "404, for it is not known yet": scripts.refuses(404),
    "401": scripts.refuses(401),
    "a cut connection": scripts.cuts(is_taken=False),
    "a page of HTML": scripts.says("<html>Sign in</html>", content_type="text/html"),
    "nothing": scripts.says(""),
    "an empty object": scripts.says({}),
    "a list": scripts.says([]),
    "another type": scripts.says({"name": 7, "done": True}),
    "done without a name": scripts.says({"done": True}),
}


def begun(veo: Provider, prompt: str) -> str:
    request = asked(prompt)
    return veo.start(request, prefix_of(request))


def ended(there: Google, veo: Provider, prompt: str, ending: Ending) -> Answer:
    """What is said of an operation that comes to this end."""
    there.vertex.arrange(prompt, ending=ending)
    name = begun(veo, prompt)
    return (
        until(
            lambda: None if (found := veo.poll(name)) == Running() else found, what="it has ended"
        )
        or Running()
    )


def test_an_operation_runs_until_its_video_is_there(there: Google, veo: Provider) -> None:
    name = begun(veo, there.vertex.arrange("a slow fox", seconds=None))
    assert veo.poll(name) == Running()
    there.vertex.finish("a slow fox")
    assert veo.poll(name) == Done()
    assert there.vertex.polls("a slow fox") == 2


def test_another_process_can_ask_by_the_name_alone(there: Google, veo: Provider) -> None:
    name = begun(veo, there.vertex.arrange("a fox, followed by another", seconds=None))
    assert providers.load(there.settings()).poll(name) == Running()


@pytest.mark.parametrize("case", TRANSIENT)
def test_a_poll_that_fails_says_nothing_of_the_operation(
    there: Google, veo: Provider, case: str
) -> None:
    prompt = f"asked about in vain: {case}"
    there.vertex.arrange(prompt, polls=(TRANSIENT[case],), seconds=None)
    name = begun(veo, prompt)
    with pytest.raises(PollFailed):
        veo.poll(name)
    assert veo.poll(name) == Running()


def test_who_tells_of_an_end_need_not_name_the_operation(there: Google, veo: Provider) -> None:
    ends = {"done": True, "error": {"code": 13, "message": "Internal error."}}
    prompt = there.vertex.arrange("a fox without a name", polls=(scripts.says(ends),))
    found = veo.poll(begun(veo, prompt))
    assert isinstance(found, Failed)
    assert found.code == "provider_error"


def test_a_poll_that_nobody_answers_ends(there: Google, impatient: Provider) -> None:
    prompt = there.vertex.arrange("hush", polls=(scripts.hangs(is_taken=False),))
    name = begun(impatient, prompt)
    with pytest.raises(PollFailed, match="ReadTimeout"):
        impatient.poll(name)


def test_a_poll_without_a_connection_fails(there: Google, veo: Provider) -> None:
    name = begun(veo, "a fox, out of reach")
    elsewhere = there.settings(GOOGLE_VERTEX_BASE_URL=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(PollFailed, match="ConnectError"):
        providers.load(elsewhere).poll(name)


@pytest.mark.parametrize(
    ("code", "row", "message"),
    [
        (3, "refused", "The video service could not make a video of this request."),
        (7, "setup", "This is not your prompt's fault."),
        (8, "busy", "was too busy to make this video. Please try again later."),
        (13, "provider_error", "failed to make this video. Trying again may help."),
        (14, "provider_error", "failed to make this video. Trying again may help."),
        (99, "provider_error", "failed to make this video. Trying again may help."),
    ],
)
def test_an_operation_that_failed_says_why(
    there: Google, veo: Provider, code: int, row: str, message: str
) -> None:
    found = ended(there, veo, f"fails with {code}", scripts.fails(code, "It went wrong."))
    assert isinstance(found, Failed)
    assert found.code == row
    assert found.message.endswith(message)
    name = OPERATIONS[code][0] if code in OPERATIONS else "?"
    assert found.reason.startswith(f"the operation failed with {code} {name}: It went wrong.; ")
    assert not found.is_billed


def test_what_an_operation_says_of_its_failure_quotes_no_prompt(
    there: Google, veo: Provider
) -> None:
    prompt = "a fox that nobody may read about, under a tree, in the rain, at night"
    found = ended(there, veo, prompt, scripts.fails(3, f'The prompt "{prompt}" is not taken.'))
    assert isinstance(found, Failed)
    assert "The prompt" in found.reason
    assert "nobody may read" not in found.reason + found.message


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_filtered_video_is_told_of_by_its_category(
    there: Google, veo: Provider, category: str
) -> None:
    what, codes = CATEGORIES[category]
    for code in codes:
        reason = f"We could not make a video. Your prompt is at fault. Support codes: {code}"
        found = ended(there, veo, f"filtered for {code}", scripts.filters(reason))
        assert found == Failed(
            "filtered",
            f"The safety filter held the video back, because it may {what}.",
            f"the safety filter held it back, support codes {code} ({category})",
            is_billed=False,
        )


def test_a_video_that_is_filtered_for_more_than_one_reason(there: Google, veo: Provider) -> None:
    reason = "Support codes: 58061214, 61493863, 11111111"
    found = ended(there, veo, "filtered thrice", scripts.filters(reason))
    assert isinstance(found, Failed)
    assert found.message == (
        "The safety filter held the video back, because it may show a child or show violence."
    )
    assert found.reason.endswith("58061214 (child), 61493863 (violence), 11111111 (unknown)")


def test_a_filter_that_gives_no_reason(there: Google, veo: Provider) -> None:
    ending = Ending({"response": {"raiMediaFilteredCount": 1}})
    found = ended(there, veo, "filtered for nothing", ending)
    assert isinstance(found, Failed)
    assert (found.code, found.message) == ("filtered", "The safety filter held the video back.")


def test_a_failure_with_support_codes_is_the_filters(there: Google, veo: Provider) -> None:
    ending = scripts.fails(3, "The video could not be made. Support codes: 32635315")
    found = ended(there, veo, "failed by the filter", ending)
    assert isinstance(found, Failed)
    assert found.code == "filtered"


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(scripts.filters("Support codes: 62263041", videos=1), id="fewer than asked"),
        pytest.param(scripts.made(videos=0), id="none, and no reason"),
        pytest.param(Ending({}), id="done, and nothing else"),
    ],
)
def test_whether_there_is_a_video_is_left_to_the_bucket(
    there: Google, veo: Provider, ending: Ending, request: pytest.FixtureRequest
) -> None:
    assert ended(there, veo, request.node.name, ending) == Done()
