"""The provider ``veo``: Google's models on Vertex AI, chosen by ``VIDEO_PROVIDER=veo``."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from db.records import NewRequest, Request
from db.settings import SettingsError
from db.validation import InvalidRequest
from workers.providers import Answer
from workers.providers.veo import models
from workers.providers.veo.client import Vertex
from workers.settings import WorkerSettings

POLL_EVERY: Final = timedelta(seconds=10)
"""Google takes 11 s to 6 min."""
TIMEOUT: Final = timedelta(seconds=10)
"""Of one wait of a call, of which there are a few; all of them fit into a task's time."""


class VeoProvider:
    """Vertex AI, as the settings describe it."""

    name = "veo"

    def __init__(
        self, vertex: Vertex, *, model: str, starts_per_minute: int, poll_every: timedelta
    ) -> None:
        self._vertex = vertex
        self.model = model
        self.starts_per_minute: int | None = starts_per_minute
        self.first_poll_after = poll_every
        self.poll_every = poll_every

    @property
    def call_time(self) -> timedelta:
        """The longest that a start can take."""
        return self._vertex.call_time

    def check(self, request: NewRequest) -> None:
        """Raise InvalidRequest where the model cannot do it, or is none of Google's."""
        models.check(request, default=self.model)

    def price(self, request: NewRequest) -> Decimal:
        """Dollars for the whole video."""
        return models.price(request, default=self.model)

    def start(self, request: Request, prefix: str) -> str:
        """Make the one paid call."""
        return self._vertex.start(request, request.model or self.model, prefix)

    def poll(self, operation_name: str) -> Answer:
        """How the operation stands."""
        return self._vertex.poll(operation_name)


def make(settings: WorkerSettings) -> VeoProvider:
    """Veo as the variables ``GOOGLE_CLOUD_…`` and ``VEO_…`` describe it; nobody is called yet.

    Where a video has little time as a whole, so has each wait: there are to be some thirty
    questions, and a call that nobody answers is not to take it all. Raises SettingsError.
    """
    try:
        models.model(settings.veo_model)
    except InvalidRequest as error:
        raise SettingsError(f"VEO_MODEL: {error}") from None
    whole = settings.generation_timeout
    vertex = Vertex(
        settings.google_cloud_project or "",
        settings.google_cloud_location,
        timeout=min(TIMEOUT, whole / 10),
    )
    return VeoProvider(
        vertex,
        model=settings.veo_model,
        starts_per_minute=settings.veo_starts_per_minute,
        poll_every=min(POLL_EVERY, whole / 30),
    )
