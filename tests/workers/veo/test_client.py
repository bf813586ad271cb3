"""The client of Vertex AI: when it is made, by which token it calls, over which connection."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from db.settings import SettingsError
from tests.e2e.google.studio import Google
from tests.workers.veo.conftest import asked, prefix_of
from workers import providers
from workers.providers import PollFailed, Provider, Refused

TOKEN = "POST /token"


def test_a_process_that_only_loads_it_imports_nothing_of_google() -> None:
    script = (
        "import sys; from workers import providers; from workers.settings import WorkerSettings;"
        "providers.load(WorkerSettings(video_provider='veo', google_cloud_project='p',"
        " gcs_bucket='videos'));"
        "print([each for each in ('google.genai', 'google.auth', 'httpx') if each in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("model", ["veo-3.0-generate-001", "sora-2"])
def test_a_process_does_not_start_with_a_model_that_is_not_there(there: Google, model: str) -> None:
    with pytest.raises(SettingsError, match=rf"^VEO_MODEL: .*{model}.* there are veo-3\.1"):
        providers.load(there.settings(VEO_MODEL=model))


def test_one_token_serves_many_calls_from_many_threads(there: Google) -> None:
    fresh = providers.load(there.settings())
    before = there.accounts.traffic.count(TOKEN)
    requests = [asked(f"a fox in thread {number}") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        names = [*threads.map(lambda each: fresh.start(each, prefix_of(each)), requests)]
        [*threads.map(fresh.poll, names)]
    assert len({*names}) == 8
    assert there.accounts.traffic.count(TOKEN) == before + 1


def test_a_token_that_has_run_out_is_renewed_before_the_paid_call(
    there: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less than what the library leaves for the way.
    monkeypatch.setattr(there.accounts, "lifetime", 60)
    fresh = providers.load(there.settings())
    before = there.accounts.traffic.count(TOKEN)
    for number in range(2):
        request = asked(f"a fox with token {number}")
        assert fresh.start(request, prefix_of(request))
    assert there.accounts.traffic.count(TOKEN) >= before + 2


def test_a_token_that_is_not_accepted_any_more_is_replaced(there: Google) -> None:
    fresh = providers.load(there.settings())
    request = asked("a fox whose keeper changes")
    name = fresh.start(request, prefix_of(request))
    there.accounts.expire_tokens()
    with pytest.raises(PollFailed, match="401"):
        fresh.poll(name)
    assert fresh.poll(name)
    there.accounts.expire_tokens()
    # A start is not made again by itself: whoever asks next has a good token.
    with pytest.raises(Refused, match="401"):
        fresh.start(request, prefix_of(request))
    assert fresh.start(request, prefix_of(request))


def test_every_paid_call_has_a_connection_of_its_own(there: Google, veo: Provider) -> None:
    requests = [asked(f"a fox by line {number}") for number in range(3)]
    names = [veo.start(each, prefix_of(each)) for each in requests]
    for name in names:
        veo.poll(name)
    prompts = {each.prompt for each in requests}
    calls = [each for each in there.vertex.calls if each.prompt in prompts]
    assert len({each.line for each in calls if each.is_start}) == 3
    # Questions come in numbers and may be put again, so theirs is kept.
    assert len({each.line for each in calls if not each.is_start}) == 1


def test_a_call_ends_well_within_a_tasks_time(there: Google, veo: Provider) -> None:
    assert veo.call_time <= timedelta(seconds=40)
    assert veo.poll_every == veo.first_poll_after == timedelta(seconds=10)
    hurried = providers.load(there.settings(GENERATION_TIMEOUT_SECONDS="30"))
    assert hurried.poll_every == timedelta(seconds=1)
    assert hurried.call_time == timedelta(seconds=12)


def test_the_pace_is_that_of_the_settings(there: Google, veo: Provider) -> None:
    assert veo.starts_per_minute == 50
    slow = providers.load(there.settings(VEO_STARTS_PER_MINUTE="3"))
    assert slow.starts_per_minute == 3
