"""What the end of the paid call means, through Google's library over real sockets (DESIGN, 2)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.google import scripts
from tests.e2e.google.cloud import BUCKET
from tests.e2e.google.scripts import Accident
from tests.e2e.google.studio import Google, closed_port
from tests.workers.veo.conftest import asked, prefix_of
from workers import providers
from workers.providers import (
    NotTaken,
    OutcomeUnknown,
    PollFailed,
    Provider,
    ProviderError,
    Refused,
)
from workers.providers.veo.failures import REFUSALS

NOT_THE_PROMPT = "The video service cannot be used at the moment. This is not your prompt's fault."


@dataclass(frozen=True)
class Refusal:
    """What a refusal says to the program, to the user and to the operator."""

    accident: Accident
    code: str
    message: str
    operator: str


REFUSED = {
    "400": Refusal(
        scripts.refuses(400, "Unsupported value for durationSeconds."),
        "invalid_request",
        "The video service did not accept these parameters.",
        "400 INVALID_ARGUMENT: Unsupported value for durationSeconds.; what the model takes",
    ),
    "400 for the prompt": Refusal(
        scripts.refuses(400, "This contains words that violate Responsible AI practices."),
        "prompt_refused",
        "The video service makes no video of this prompt.",
        "violate Responsible AI practices.; Google's usage policy",
    ),
    "400 with support codes": Refusal(
        scripts.refuses(400, "The prompt could not be submitted. Support codes: 90789179"),
        "prompt_refused",
        "The video service makes no video of this prompt. "
        "The safety filter held the video back, because it may be sexual.",
        "Support codes: 90789179; Google's usage policy",
    ),
    "401": Refusal(
        scripts.refuses(401, "Request had invalid authentication credentials."),
        "setup",
        NOT_THE_PROMPT,
        "look at GOOGLE_APPLICATION_CREDENTIALS",
    ),
    "403": Refusal(
        scripts.refuses(403, "Permission 'aiplatform.endpoints.predict' denied."),
        "setup",
        NOT_THE_PROMPT,
        "Permission 'aiplatform.endpoints.predict' denied.; the account needs roles/aiplatform",
    ),
    "404": Refusal(
        scripts.refuses(404, "Publisher Model was not found."),
        "model_unavailable",
        "The model that was to make the video is not available any more.",
        "Publisher Model was not found.; Google has retired the model",
    ),
}

UNKNOWN = {
    "500": scripts.refuses(500),
    "503": scripts.refuses(503),
    "503, and taken": scripts.refuses(503, is_taken=True),
    "408": scripts.refuses(408),
    "cut before it was taken": scripts.cuts(is_taken=False),
    "cut after it was taken": scripts.cuts(is_taken=True),
    "a page of HTML": scripts.says("<html>Sign in</html>", content_type="text/html"),
    "nothing": scripts.says(""),
    "no name": scripts.says({}),
    "another address": scripts.leads("?again=yes"),
    "a list": scripts.says([{"name": "a"}]),
    "a number for a name": scripts.says({"name": 7}),
    "a name that is none": scripts.says({"name": "operation-7"}),
    "an error without a status of its own": scripts.says({"error": "?"}, status=409),
}


def fail_to_start(
    there: Google, veo: Provider, prompt: str, *starts: Accident, **changes: object
) -> ProviderError:
    request = asked(there.vertex.arrange(prompt, *starts), **changes)
    with pytest.raises(ProviderError) as failure:
        veo.start(request, prefix_of(request))
    return failure.value


def test_a_start_asks_for_what_was_asked_for_and_nothing_else(there: Google, veo: Provider) -> None:
    request = asked(
        "a fox, in full",
        model="veo-3.1-generate-001",
        duration_seconds=6,
        aspect_ratio="9:16",
        resolution="720p",
        generate_audio=False,
        negative_prompt="rain",
        seed=2**32 - 1,
    )
    name = veo.start(request, prefix_of(request))
    assert "/models/veo-3.1-generate-001/operations/" in name
    assert there.vertex.starts("a fox, in full") == [
        {
            "instances": [{"prompt": "a fox, in full"}],
            "parameters": {
                "sampleCount": 1,
                "durationSeconds": 6,
                "aspectRatio": "9:16",
                "resolution": "720p",
                "generateAudio": False,
                "negativePrompt": "rain",
                "seed": 4294967295,
                "storageUri": f"gs://{BUCKET}/{request.id}/",
            },
        }
    ]


def test_a_request_without_a_model_gets_the_one_of_the_settings(
    there: Google, veo: Provider
) -> None:
    request = asked("a fox, by default")
    assert "/models/veo-3.1-fast-generate-001/" in veo.start(request, prefix_of(request))
    [body] = there.vertex.starts("a fox, by default")
    assert body["parameters"].keys().isdisjoint({"negativePrompt", "seed"})


@pytest.mark.parametrize("case", REFUSED)
def test_a_start_that_is_refused_for_good(there: Google, veo: Provider, case: str) -> None:
    expected = REFUSED[case]
    found = fail_to_start(there, veo, f"refused with {case}", expected.accident)
    assert isinstance(found, Refused)
    assert (found.code, found.message) == (expected.code, expected.message)
    assert expected.operator in str(found)
    assert len(there.vertex.starts(f"refused with {case}")) == 1


def test_every_status_by_which_a_start_is_refused_is_tried_here() -> None:
    assert {case.accident.status for case in REFUSED.values()} == REFUSALS.keys()


def test_a_retired_model_is_refused(there: Google, veo: Provider) -> None:
    found = fail_to_start(there, veo, "an old model", model="veo-3.0-generate-001")
    assert isinstance(found, Refused)
    assert found.code == "model_unavailable"


def test_a_start_that_met_a_full_quota_was_not_taken(there: Google, veo: Provider) -> None:
    told = "Quota exceeded for long_running_online_prediction_requests_per_base_model."
    found = fail_to_start(there, veo, "one too many", scripts.refuses(429, told))
    assert isinstance(found, NotTaken)
    assert str(found) == f"Vertex AI answered 429 RESOURCE_EXHAUSTED: {told}"
    # The next one is a call of its own.
    request = asked("one too many")
    assert veo.start(request, prefix_of(request))
    assert len(there.vertex.starts("one too many")) == 2


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_start_whose_outcome_is_unknown_is_one_call(
    there: Google, veo: Provider, case: str
) -> None:
    found = fail_to_start(there, veo, f"unknown by {case}", UNKNOWN[case])
    assert isinstance(found, OutcomeUnknown)
    assert len(there.vertex.starts(f"unknown by {case}")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "projects/p/locations/us-central1/publishers/google/models/m/operations/7f-1",
        "projects/12345/locations/us-central1/operations/7",
    ],
)
def test_a_start_is_known_by_whatever_name_google_gives_it(
    there: Google, veo: Provider, name: str
) -> None:
    request = asked(there.vertex.arrange(f"a fox called {name}", scripts.says({"name": name})))
    assert veo.start(request, prefix_of(request)) == name


def test_a_start_that_nobody_answers_ends(there: Google, impatient: Provider) -> None:
    found = fail_to_start(there, impatient, "silence", scripts.hangs(is_taken=True))
    assert isinstance(found, OutcomeUnknown)
    assert "ReadTimeout" in str(found)
    assert len(there.vertex.starts("silence")) == 1


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{port}", "http://vertex.invalid"], ids=["refused", "no such name"]
)
def test_a_start_without_a_connection_was_not_taken(there: Google, address: str) -> None:
    elsewhere = there.settings(GOOGLE_VERTEX_BASE_URL=address.format(port=closed_port()))
    found = fail_to_start(there, providers.load(elsewhere), "nobody there")
    assert isinstance(found, NotTaken)
    assert "no connection to Vertex AI: ConnectError" in str(found)


def test_a_start_whose_connection_is_not_made_in_time_was_not_taken(
    there: Google, full_port: int
) -> None:
    elsewhere = there.settings(
        GOOGLE_VERTEX_BASE_URL=f"http://127.0.0.1:{full_port}", GENERATION_TIMEOUT_SECONDS="5"
    )
    hasty = providers.load(elsewhere)
    found = fail_to_start(there, hasty, "a full house")
    assert isinstance(found, NotTaken)
    assert "ConnectTimeout" in str(found)


def no_file(path: Path) -> None:
    del path


def a_folder(path: Path) -> None:
    path.mkdir()


def no_json(path: Path) -> None:
    path.write_text("not a key")


def a_broken_key(path: Path) -> None:
    told = {
        "type": "service_account",
        "client_email": "a@b",
        "token_uri": "http://c",
        "private_key": "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n",
    }
    path.write_text(json.dumps(told))


@pytest.mark.parametrize("make", [no_file, a_folder, no_json, a_broken_key])
def test_no_credentials_are_no_call(
    there: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "key.json")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    stranger = providers.load(there.settings())
    found = fail_to_start(there, stranger, "nobody's")
    assert isinstance(found, Refused)
    assert (found.code, found.message) == ("setup", NOT_THE_PROMPT)
    assert str(found).startswith("no token for Vertex AI: ")
    assert "hush" not in str(found)
    assert not there.vertex.starts("nobody's")
    with pytest.raises(PollFailed):
        stranger.poll("projects/p/locations/l/publishers/google/models/m/operations/1")


def test_a_key_that_is_not_good_any_more_is_no_call(
    there: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = there.accounts.new("gone")
    key = there.accounts.write_key(gone, tmp_path)
    there.accounts._accounts.pop(gone.email)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    found = fail_to_start(there, providers.load(there.settings()), "a thief's")
    assert isinstance(found, Refused)
    assert "account not found" in str(found)
    assert not there.vertex.starts("a thief's")


def test_a_token_that_cannot_be_had_right_now_is_no_call_and_may_be_tried_again(
    there: Google,
) -> None:
    fresh = providers.load(there.settings())
    there.accounts.traffic.cut("POST /token")
    found = fail_to_start(there, fresh, "in a moment")
    assert isinstance(found, NotTaken)
    assert not there.vertex.starts("in a moment")
    request = asked("in a moment")
    assert fresh.start(request, prefix_of(request))


def test_lg2_no_error_tells_a_prompt_or_a_token(there: Google, veo: Provider) -> None:
    prompt = "a secret castle in the clouds " * 10
    negative = "no dragons of any colour whatever, please " * 5
    for status in (400, 403, 429, 500):
        said = f'Invalid value at prompt: {prompt} and "{negative}".'
        told = str(
            fail_to_start(
                there, veo, prompt, scripts.refuses(status, said), negative_prompt=negative
            )
        )
        assert "Invalid value at prompt" in told
        assert prompt[:60] not in told
        assert negative[:60] not in told
        assert "ya29." not in told
        assert len(told) < 500
