"""Settings of the workers that would lead nowhere are named before anything is begun."""

import pytest

from db.settings import SettingsError, read
from workers.settings import WorkerSettings

NAME = "must be a name and nothing else, without gs://, slashes or spaces"
ADDRESS = "must look like https://us-central1-aiplatform.googleapis.com"


@pytest.fixture(autouse=True)
def of_veo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that Veo needs."""
    monkeypatch.setenv("VIDEO_PROVIDER", "veo")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-video-bot")
    monkeypatch.setenv("GCS_BUCKET", "my-videos")


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("GCS_BUCKET", "gs://my-videos", NAME),
        ("GCS_BUCKET", "my-videos/", NAME),
        ("GOOGLE_CLOUD_PROJECT", "projects/my-video-bot", NAME),
        ("GOOGLE_CLOUD_LOCATION", "us-central1 ", NAME),
        ("GOOGLE_VERTEX_BASE_URL", "127.0.0.1:8080", ADDRESS),
        ("VIDEO_STORAGE", "folder", "must be gcs or unset, for veo writes nowhere else"),
        ("GCS_BUCKET", "", "environment variable is required"),
        ("GOOGLE_CLOUD_PROJECT", "", "environment variable is required"),
    ],
)
def test_what_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as told:
        read(WorkerSettings)
    assert str(told.value) == f"{variable} {sentence}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GCS_BUCKET", "videos.example.com"),
        ("GOOGLE_CLOUD_PROJECT", "example.com:my-video-bot"),
        ("GOOGLE_CLOUD_LOCATION", "global"),
        ("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:8080/vertex/"),
    ],
)
def test_what_google_may_know_is_taken(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(read(WorkerSettings), variable.lower()) == value
