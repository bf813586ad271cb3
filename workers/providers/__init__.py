"""Who makes the videos: a small protocol, one module each, loaded by name.

Whatever a provider's own library raises is translated at its edge into the few errors here.
What a start's end means is decided by them: see :mod:`workers.starting`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Final, Protocol, cast

from db.records import NewRequest, Request
from db.settings import SettingsError
from workers.settings import WorkerSettings

PROVIDERS: Final = {
    "sandbox": "workers.providers.sandbox",
    "veo": "workers.providers.veo.provider",
}
"""Modules with a function ``make(settings)``; no SDK is imported unless it is chosen."""


class ProviderError(Exception):
    """Any of the errors below. The message is for operators."""


class Refused(ProviderError):
    """Permanent: the provider will not make this video. `message` says why to the user."""

    def __init__(self, reason: str, *, code: str, message: str) -> None:
        super().__init__(reason)
        self.code = code
        self.message = message


class NotTaken(ProviderError):
    """Transient: the call was certainly not taken, and may be made again."""


class OutcomeUnknown(ProviderError):
    """The call may have been taken and must never be made again."""


class PollFailed(ProviderError):
    """Transient: the question could not be put, which says nothing of the operation."""


class NotReady(ProviderError):
    """The provider cannot be used as things stand. `remedy` is what an operator does about it.

    With `is_setting` a setting is missing, or leads nowhere, and nobody was asked.
    """

    def __init__(self, reason: str, *, remedy: str, is_setting: bool = False) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.is_setting = is_setting


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that may be asked for, and what it may be told besides."""

    name: str
    #: For people.
    title: str
    has_negative_prompt: bool = False
    has_seed: bool = False
    #: The first day without it; None: not announced.
    retires_on: date | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The operation has not ended."""


@dataclass(frozen=True, slots=True)
class Done:
    """The operation has ended, and its outputs lie under the request's prefix."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The operation has ended without a video. `message` is for the user, `reason` for us."""

    code: str
    message: str
    reason: str
    #: Whether it is charged for all the same.
    is_billed: bool


Answer = Running | Done | Failed


class Provider(Protocol):
    """Somebody who turns a prompt into a video, in the time it takes."""

    @property
    def name(self) -> str:
        """As ``VIDEO_PROVIDER`` and the ``provider`` column spell it."""

    @property
    def model(self) -> str:
        """The model that is used where a request names none."""

    @property
    def offers(self) -> Sequence[Offer]:
        """All models that may be asked for, that one among them."""

    @property
    def call_time(self) -> timedelta:
        """The longest that :meth:`start` can take."""

    @property
    def first_poll_after(self) -> timedelta:
        """From the start of an operation to the first moment at which asking is worth it."""

    @property
    def poll_every(self) -> timedelta:
        """Between one question and the next, as long as it is not known how long such ones take."""

    @property
    def starts_per_minute(self) -> int | None:
        """Paid calls that all workers together may make in any minute; None: as many as come."""

    def check(self, request: NewRequest) -> None:
        """Raise InvalidRequest where the model that is asked for cannot make this video."""

    def price(self, request: NewRequest) -> Decimal:
        """Dollars for the whole video."""

    def start(self, request: Request, prefix: str) -> str:
        """Make the one paid call; its outputs go under `prefix`. The operation's name.

        Raises Refused, NotTaken or OutcomeUnknown; any other error counts as the last.
        """

    def poll(self, operation_name: str) -> Answer:
        """How the operation stands. Raises PollFailed."""

    def probe(self) -> str:
        """That videos can be asked for now, in a few words; it costs nothing. Raises NotReady."""


def kept_model(provider: Provider, request: Request) -> str | None:
    """The model of an earlier request, for one like it; None where it is not offered any more."""
    return request.model if request.model in {each.name for each in provider.offers} else None


def load(settings: WorkerSettings) -> Provider:
    """The provider that the settings name. Raises SettingsError if it is not installed."""
    try:
        module = import_module(PROVIDERS[settings.video_provider])
    except ImportError as error:
        raise SettingsError(
            f"VIDEO_PROVIDER={settings.video_provider} needs {error.name}, which is not installed"
        ) from error
    return cast("Provider", module.make(settings))
