"""Whether Vertex AI can be used, asked for nothing and told with a remedy."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.google.accounts import PROJECT
from tests.e2e.google.studio import Google, closed_port
from tests.e2e.google.vertex import LOCATION
from workers import providers
from workers.providers import NotReady, Provider
from workers.providers.veo.client import Vertex

FETCH = "POST *:fetchPredictOperation"


def words(there: Google, **changes: str) -> tuple[str, str]:
    """Why it cannot be used, and what to do."""
    with pytest.raises(NotReady) as unready:
        providers.load(there.settings(**changes)).probe()
    return str(unready.value), unready.value.remedy


def test_it_can_be_used_and_that_was_free(there: Google, veo: Provider) -> None:
    calls = len(there.vertex.calls)
    assert veo.probe() == f"veo: Vertex AI lets this account use {veo.model}"
    assert len(there.vertex.calls) == calls


def test_a_model_that_is_not_served(there: Google) -> None:
    vertex = Vertex(PROJECT, LOCATION, base_url=there.vertex.url, timeout=timedelta(seconds=5))
    with pytest.raises(NotReady, match="404 NOT_FOUND") as unready:
        vertex.probe("veo-3.0-generate-001")
    assert "Google has retired the model" in unready.value.remedy


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "GOOGLE_APPLICATION_CREDENTIALS"),
        (403, "roles/aiplatform.user"),
        (500, "status page"),
        (503, "status page"),
    ],
)
def test_whoever_is_turned_away_is_told_what_to_do(there: Google, status: int, remedy: str) -> None:
    there.vertex.traffic.refuse(FETCH, status)
    reason, advice = words(there)
    assert reason.startswith(f"Vertex AI answered {status} ")
    assert remedy in advice


@pytest.mark.parametrize("status", [400, 429])
def test_what_says_nothing_of_the_installation_is_well(
    there: Google, veo: Provider, status: int
) -> None:
    there.vertex.traffic.refuse(FETCH, status)
    assert veo.probe()


def test_nobody_is_there(there: Google) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    reason, advice = words(there, GOOGLE_VERTEX_BASE_URL=nowhere)
    assert reason.startswith("Vertex AI was not reached: ConnectError")
    assert advice == "let this machine reach it"


@pytest.mark.parametrize("given", ["missing", "no key", "a stranger's"])
def test_no_credentials_that_are_any_good(
    there: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    path: Any = tmp_path / "key.json"
    if given == "no key":
        path.write_text("not a key")
    if given == "a stranger's":
        path = there.accounts.write_key(there.accounts.new("stranger"), tmp_path)
        there.accounts._accounts.pop(there.accounts.new("stranger").email)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    reason, advice = words(there)
    if given == "a stranger's":
        assert reason.startswith("no token for Vertex AI: ")
        assert "GOOGLE_APPLICATION_CREDENTIALS" in advice
    else:
        assert reason == "there are no usable credentials for Google"
        assert advice.startswith("set GOOGLE_APPLICATION_CREDENTIALS to ")
