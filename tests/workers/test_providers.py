"""What every provider has to do, whichever it is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from db.records import NewRequest, Request
from db.validation import InvalidRequest
from tests.e2e.google import scripts
from tests.e2e.google.scripts import Accident, Ending
from tests.e2e.google.studio import Google, google
from tests.workers.test_answers import REQUEST
from tests.workers.waiting import until
from workers import providers, storage
from workers.providers import (
    PROVIDERS,
    Answer,
    Done,
    Failed,
    NotTaken,
    OutcomeUnknown,
    PollFailed,
    Provider,
    Refused,
    Running,
)
from workers.settings import SandboxOutcome, WorkerSettings
from workers.storage import Storage

NEW = NewRequest(UUID(int=1), "u", "g", "c", "a red fox in the snow")
SECRET = "a secret castle that nobody else may ever hear of, high above the clouds"


class Stage(Protocol):
    """A provider's own world, in which it is told how calls are to end."""

    def provider(self, outcome: SandboxOutcome) -> Provider:
        """One more process's provider; calls that it makes from now on end so."""

    @property
    def storage(self) -> Storage:
        """Where its videos go."""

    @property
    def unknown_operation(self) -> str:
        """The name of an operation that never was."""


@dataclass(frozen=True)
class Sandbox:
    root: Path

    def provider(self, outcome: SandboxOutcome) -> Provider:
        return providers.load(self._settings(outcome))

    @property
    def storage(self) -> Storage:
        return storage.load(self._settings(SandboxOutcome.COMPLETED))

    @property
    def unknown_operation(self) -> str:
        return "sandbox/operations/none"

    def _settings(self, outcome: SandboxOutcome) -> WorkerSettings:
        return WorkerSettings(
            output_dir=self.root,
            sandbox_seconds=0,
            sandbox_outcome=outcome,
            sandbox_price_per_second=Decimal("0.1"),
        )


_STARTS: dict[SandboxOutcome, Accident] = {
    SandboxOutcome.REFUSED: scripts.refuses(400, f"The prompt {SECRET} was blocked."),
    SandboxOutcome.BUSY: scripts.refuses(429),
    SandboxOutcome.UNKNOWN: scripts.cuts(is_taken=True),
}
_ENDS: dict[SandboxOutcome, Ending] = {
    SandboxOutcome.FAILED: scripts.fails(13, f'Internal error for "{SECRET}".'),
    SandboxOutcome.FILTERED: scripts.filters(f"{SECRET} Support codes: 62263041"),
}


@dataclass(frozen=True)
class Veo:
    google: Google

    def provider(self, outcome: SandboxOutcome) -> Provider:
        starts = [_STARTS[outcome]] if outcome in _STARTS else []
        seconds = None if outcome is SandboxOutcome.NEVER else 0
        self.google.vertex.arrange(SECRET, *starts, ending=_ENDS.get(outcome), seconds=seconds)
        return providers.load(self.google.settings())

    @property
    def storage(self) -> Storage:
        return storage.load(self.google.settings())

    @property
    def unknown_operation(self) -> str:
        model = "publishers/google/models/veo-3.1-generate-001"
        return f"projects/video-bot-test/locations/us-central1/{model}/operations/none"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture(params=sorted(PROVIDERS))
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    if request.param == "sandbox":
        return Sandbox(tmp_path / "videos")
    there: Google = request.getfixturevalue("there")
    for name, value in there.environment.items():
        monkeypatch.setenv(name, value)
    return Veo(there)


@pytest.fixture
def good(stage: Stage) -> Provider:
    return stage.provider(SandboxOutcome.COMPLETED)


@pytest.fixture
def asked() -> Request:
    return replace(
        REQUEST, id=uuid4(), prompt=SECRET, model=None, duration_seconds=4, resolution="720p"
    )


def prefix_of(stage: Stage, asked: Request) -> str:
    """Where its video is to lie, with the mark that is made before every call."""
    prefix = stage.storage.prefix_for(asked.id)
    assert stage.storage.create_marker(prefix, uuid4())
    return prefix


def ended(provider: Provider, operation: str) -> Answer:
    return (
        until(
            lambda: None if (found := provider.poll(operation)) == Running() else found,
            what="it has ended",
        )
        or Running()
    )


def test_it_is_what_its_name_says(good: Provider, request: pytest.FixtureRequest) -> None:
    assert good.name in request.node.name
    assert good.model
    assert good.call_time.total_seconds() > 0
    assert good.poll_every.total_seconds() > 0
    assert good.first_poll_after.total_seconds() >= 0


def test_what_it_makes_it_takes_and_puts_a_price_on(good: Provider) -> None:
    good.check(NEW)
    good.check(replace(NEW, model=good.model))
    price = good.price(NEW)
    assert price > 0
    assert good.price(replace(NEW, duration_seconds=8)) == 2 * price
    assert good.price(replace(NEW, model=good.model)) == price


def test_a_model_that_it_has_not_is_refused_before_it_costs_anything(good: Provider) -> None:
    with pytest.raises(InvalidRequest, match="model"):
        good.check(replace(NEW, model="no-such-model"))


def test_a_video_is_made_where_it_is_wanted(stage: Stage, good: Provider, asked: Request) -> None:
    prefix = prefix_of(stage, asked)
    operation = good.start(asked, prefix)
    # Whoever asks need not be who has started it.
    assert ended(stage.provider(SandboxOutcome.COMPLETED), operation) == Done()
    [address] = stage.storage.outputs(prefix)
    with stage.storage.open(address) as video:
        assert video.read(12)[4:8] == b"ftyp"


def test_what_takes_its_time_is_running(stage: Stage, asked: Request) -> None:
    slow = stage.provider(SandboxOutcome.NEVER)
    prefix = prefix_of(stage, asked)
    assert slow.poll(slow.start(asked, prefix)) == Running()
    assert stage.storage.outputs(prefix) == []


def test_a_refusal_is_for_good_and_says_why(stage: Stage, asked: Request) -> None:
    with pytest.raises(Refused) as refused:
        stage.provider(SandboxOutcome.REFUSED).start(asked, prefix_of(stage, asked))
    assert refused.value.code
    assert refused.value.message.endswith(".")
    assert SECRET not in f"{refused.value} {refused.value.message}"


def test_who_is_busy_has_not_taken_it(stage: Stage, asked: Request) -> None:
    prefix = prefix_of(stage, asked)
    with pytest.raises(NotTaken):
        stage.provider(SandboxOutcome.BUSY).start(asked, prefix)
    assert stage.storage.outputs(prefix) == []


def test_an_answer_that_is_lost_loses_no_video(stage: Stage, asked: Request) -> None:
    prefix = prefix_of(stage, asked)
    with pytest.raises(OutcomeUnknown):
        stage.provider(SandboxOutcome.UNKNOWN).start(asked, prefix)
    until(lambda: stage.storage.outputs(prefix), what="its video is there")


@pytest.mark.parametrize("outcome", [SandboxOutcome.FAILED, SandboxOutcome.FILTERED])
def test_an_end_without_a_video_says_why_and_is_not_billed(
    stage: Stage, asked: Request, outcome: SandboxOutcome
) -> None:
    provider = stage.provider(outcome)
    found = ended(provider, provider.start(asked, prefix_of(stage, asked)))
    assert isinstance(found, Failed)
    assert found.code == ("filtered" if outcome is SandboxOutcome.FILTERED else "provider_error")
    assert found.message.endswith(".")
    assert found.reason
    assert SECRET not in f"{found.message} {found.reason}"
    assert not found.is_billed


def test_a_question_about_nothing_says_nothing(stage: Stage, good: Provider) -> None:
    with pytest.raises(PollFailed):
        good.poll(stage.unknown_operation)
