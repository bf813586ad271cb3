"""The double of Vertex AI is as strict as Google's documents (and shows it in the test's end)."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.google.studio import Google, google
from tests.e2e.google.veo_rules import violations
from tests.e2e.google.vertex import PUBLISHER

MODEL = f"{PUBLISHER}/veo-3.1-generate-001"
GOOD: dict[str, Any] = {
    "instances": [{"prompt": "a red fox"}],
    "parameters": {"storageUri": "gs://video-bot-videos/a/", "sampleCount": 1},
}


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Google]:
    with google(tmp_path) as found:
        yield found


def call(there: Google, method: str, body: Any, **headers: str) -> requests.Response:
    token = there.accounts.new_token(there.cloud.account)
    return requests.post(
        f"{there.vertex.url}/v1/{MODEL}:{method}",
        json=body,
        headers={"Authorization": f"Bearer {token}"} | headers,
        timeout=5,
    )


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("parameters", "number_of_videos", 1),
        ("parameters", "enhancePrompt", True),
        ("parameters", "durationSeconds", "8"),
        ("parameters", "durationSeconds", 5),
        ("parameters", "generateAudio", "true"),
        ("parameters", "sampleCount", True),
        ("parameters", "sampleCount", 5),
        ("parameters", "seed", -1),
        ("parameters", "seed", 2**32),
        ("parameters", "aspectRatio", "1:1"),
        ("parameters", "resolution", "480p"),
        ("parameters", "storageUri", "video-bot-videos/a/"),
        ("instances", "negativePrompt", "rain"),
        ("instances", "prompt", 7),
        ("instances", "image", {"gcsUri": "gs://b/a.png"}),
    ],
)
def test_what_is_not_documented_is_a_violation(where: str, field: str, value: object) -> None:
    assert not violations(GOOD)
    part = GOOD[where][0] if where == "instances" else GOOD[where]
    changed = {**part, field: value}
    body = GOOD | {where: [changed] if where == "instances" else changed}
    [found] = violations(body)
    assert field in found


@pytest.mark.parametrize("body", [[], {}, {"instances": [], "parameters": {}}, GOOD | {"model": 1}])
def test_a_body_of_another_shape_is_a_violation(body: object) -> None:
    assert violations(body)


def test_a_violation_is_answered_and_fails_the_test(tmp_path: Path) -> None:
    with ExitStack() as stack:
        there = stack.enter_context(google(tmp_path))
        answer = call(there, "predictLongRunning", GOOD | {"priority": "high"})
        assert answer.status_code == 400
        assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
        assert there.vertex.violations == ["unknown field priority"]
        with pytest.raises(AssertionError):
            stack.close()


def test_who_has_no_token_is_not_let_in(there: Google) -> None:
    assert call(there, "predictLongRunning", GOOD, Authorization="Bearer stolen").status_code == 401


def test_an_operation_is_told_of_by_post_alone(there: Google) -> None:
    name = call(there, "predictLongRunning", GOOD).json()["name"]
    token = there.accounts.new_token(there.cloud.account)
    found = requests.get(
        f"{there.vertex.url}/v1/{name}", headers={"Authorization": f"Bearer {token}"}, timeout=5
    )
    assert found.status_code == 404
    told = call(there, "fetchPredictOperation", {"operationName": name}).json()
    assert told["name"] == name


def test_a_finished_operation_names_the_video_that_lies_in_the_bucket(there: Google) -> None:
    there.vertex.arrange("a red fox", seconds=None)
    name = call(there, "predictLongRunning", GOOD).json()["name"]
    assert call(there, "fetchPredictOperation", {"operationName": name}).json() == {"name": name}
    there.vertex.finish("a red fox")
    told = call(there, "fetchPredictOperation", {"operationName": name}).json()
    assert told["done"] is True
    [video] = told["response"]["videos"]
    bucket, _, path = video["gcsUri"].removeprefix("gs://").partition("/")
    found = there.storage.find(bucket, path)
    assert found is not None
    assert found.content[4:8] == b"ftyp"
