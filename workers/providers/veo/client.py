"""The calls to Vertex AI by Google's own library, which is imported at the first of them.

Nothing here retries, and no answer leads to another call. The paid call has a connection of its
own, for one that was kept open could break under it, and nobody would know whether it was taken.
Every wait has an end.
"""

from datetime import timedelta
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final
from uuid import UUID

from db.records import Request
from workers.providers import (
    Answer,
    NotReady,
    NotTaken,
    OutcomeUnknown,
    PollFailed,
    ProviderError,
    Refused,
)
from workers.providers.veo import failures, filters, operations
from workers.quoting import quoted

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.genai import Client
    from google.genai.errors import APIError

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
WAITS: Final = 4
"""Of which each has its own end, one after the other: for the token, and to connect, send, read."""


class Vertex:
    """Who calls Veo as this process. To be made before the fork, and used after it."""

    def __init__(
        self, project: str, location: str, *, base_url: str | None, timeout: timedelta
    ) -> None:
        self._project = project
        self._location = location
        # The library would look for it itself, but not in a file.
        self._base_url = base_url
        self._timeout = timeout
        self._lock = Lock()
        self._credentials: Credentials | None = None
        # Whoever drops a client closes it.
        self._starter: Client | None = None
        self._asker: Client | None = None

    @property
    def call_time(self) -> timedelta:
        """The longest that a call can take."""
        return WAITS * self._timeout

    def start(self, request: Request, model: str, prefix: str) -> str:
        """Begin to make one video under `prefix`; the operation's name.

        Raises Refused, NotTaken or OutcomeUnknown.
        """
        import httpx
        from google.auth.exceptions import GoogleAuthError
        from google.genai import errors, types

        asked = types.GenerateVideosConfig(
            number_of_videos=1,
            duration_seconds=request.duration_seconds,
            aspect_ratio=request.aspect_ratio,
            resolution=request.resolution,
            generate_audio=request.generate_audio,
            negative_prompt=request.negative_prompt or None,
            seed=request.seed,
            output_gcs_uri=prefix,
        )
        private = (request.prompt, request.negative_prompt)
        # With these no connection was there to send anything by.
        unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
        try:
            client = self._client(for_start=True)
        except (GoogleAuthError, OSError, ValueError) as error:
            # The last two: of a key file that cannot be read, or is none.
            raise _without_a_token(error) from None
        try:
            source = types.GenerateVideosSource(prompt=request.prompt)
            operation = client.models.generate_videos(model=model, source=source, config=asked)
        except errors.APIError as error:
            self._renew_after(error)
            raise _answered(error, *private) from None
        except unsent as error:
            raise NotTaken(f"no connection to Vertex AI: {_named(error)}") from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"Vertex AI did not answer: {_named(error)}") from None
        except ValueError as error:
            # Of what was received, or of what was to be sent; nobody can tell.
            raise OutcomeUnknown(f"no answer that makes sense: {_named(error, *private)}") from None
        if not operations.is_name(operation.name):
            raise OutcomeUnknown("Vertex AI answered without the name of an operation")
        return str(operation.name)

    def poll(self, operation_name: str) -> Answer:
        """How the operation stands. Raises PollFailed."""
        import httpx
        from google.auth.exceptions import GoogleAuthError
        from google.genai import errors, types

        try:
            asked = types.GenerateVideosOperation.model_validate({"name": operation_name})
            found = self._client(for_start=False).operations.get(asked)
        except errors.APIError as error:
            self._renew_after(error)
            raise PollFailed(f"Vertex AI answered {_status(error)}") from None
        except (httpx.HTTPError, GoogleAuthError, OSError) as error:
            raise PollFailed(f"Vertex AI was not reached: {_named(error)}") from None
        except ValueError as error:
            raise PollFailed(f"no answer that makes sense: {_named(error)}") from None
        return operations.answer(found)

    def probe(self, model: str) -> None:
        """Ask about an operation that never was, by the way of every poll. Raises NotReady."""
        import httpx
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from google.genai import errors, types

        where = f"projects/{self._project}/locations/{self._location}/publishers/google"
        name = f"{where}/models/{model}/operations/{UUID(int=0)}"
        try:
            client = self._client(for_start=False)
        except DefaultCredentialsError:
            # Its own words are a page, and lead to another.
            raise NotReady(
                "there are no usable credentials for Google",
                remedy="set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file, or "
                "run it as a service account",
                is_setting=True,
            ) from None
        except (GoogleAuthError, OSError, ValueError) as error:
            remedy = failures.REFUSALS[failures.NOT_ACCEPTED].advice
            raise NotReady(f"no token for Vertex AI: {_named(error)}", remedy=remedy) from None
        try:
            client.operations.get(types.GenerateVideosOperation.model_validate({"name": name}))
        except errors.APIError as error:
            if told := failures.remedy(error.code, str(error.message)):
                raise NotReady(f"Vertex AI answered {_status(error)}", remedy=told) from None
        except (httpx.HTTPError, ValueError) as error:
            why = f"Vertex AI was not reached: {_named(error)}"
            raise NotReady(why, remedy="let this machine reach it") from None

    def _client(self, *, for_start: bool) -> "Client":
        """The client, whose token is good. Raises GoogleAuthError, OSError or ValueError."""
        with self._lock:
            self._credentials = self._credentials or self._found_credentials()
            if not self._credentials.valid:
                from google.auth.transport.requests import Request as Transport

                seconds = self._timeout.total_seconds()
                self._credentials.refresh(partial(Transport(), timeout=seconds))
            if for_start:
                self._starter = self._starter or self._new_client(kept_open=0)
                return self._starter
            self._asker = self._asker or self._new_client(kept_open=8)
            return self._asker

    def _renew_after(self, error: "APIError") -> None:
        """Have the next call get a token of its own, where this one's was not accepted."""
        if error.code == failures.NOT_ACCEPTED:
            with self._lock:
                if self._credentials is not None:
                    self._credentials.token = None

    @staticmethod
    def _found_credentials() -> "Credentials":
        """Application Default Credentials: a key file, or the machine's own account."""
        import google.auth

        credentials, _ = google.auth.default(scopes=SCOPES)
        return credentials

    def _new_client(self, *, kept_open: int) -> "Client":
        import httpx
        from google import genai
        from google.genai import types

        return genai.Client(
            vertexai=True,
            project=self._project,
            location=self._location,
            credentials=self._credentials,
            http_options=types.HttpOptions(
                base_url=self._base_url,
                api_version="v1",
                timeout=round(self._timeout / timedelta(milliseconds=1)),
                client_args={
                    "limits": httpx.Limits(max_keepalive_connections=kept_open),
                    # Else the paid call is made again wherever an answer leads.
                    "follow_redirects": False,
                },
            ),
        )


def _answered(error: Exception, *private: str | None) -> ProviderError:
    """What it means that a start was answered with an error."""
    status = int(getattr(error, "code", 0))
    said = str(getattr(error, "message", ""))
    told = f"Vertex AI answered {_status(error, *private)}"
    if status == failures.BUSY:
        return NotTaken(told)
    failure = failures.refusal(status, said)
    if failure is None:
        return OutcomeUnknown(told)
    message = failure.message
    if failure is failures.PROMPT_REFUSED and (found := filters.codes(said)):
        message = f"{message} {filters.sentence(found)}"
    return Refused(f"{told}; {failure.advice}", code=failure.code, message=message)


def _without_a_token(error: Exception) -> ProviderError:
    """What it means that there was no token, and so no call."""
    from google.auth.exceptions import TransportError

    told = f"no token for Vertex AI: {_named(error)}"
    if isinstance(error, TransportError) or getattr(error, "retryable", False):
        return NotTaken(told)
    failure = failures.REFUSALS[failures.NOT_ACCEPTED]
    return Refused(f"{told}; {failure.advice}", code=failure.code, message=failure.message)


def _status(error: Exception, *private: str | None) -> str:
    status, name, said = (getattr(error, each, None) for each in ("code", "status", "message"))
    return f"{status} {quoted(name)}: {quoted(said, *private)}"


def _named(error: Exception, *private: str | None) -> str:
    return f"{type(error).__name__}: {quoted(error, *private)}"
