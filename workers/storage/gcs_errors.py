"""What Google's libraries raise, in words for operators: what is wrong, and what would be right.

No word is the library's own or the server's, for theirs may quote an address with a signature in
it; but for reasons of one word, like ``billingDisabled``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth.exceptions import (
    DefaultCredentialsError,
    GoogleAuthError,
    RefreshError,
    TransportError,
)
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from urllib3.exceptions import HTTPError

from workers.storage import StorageUnavailable

FOREIGN: Final = (
    GoogleAPIError,
    GoogleAuthError,
    InvalidResponse,
    DataCorruption,
    requests.RequestException,
    HTTPError,
    OSError,
    # An answer, or a key file, of another shape.
    ValueError,
)

RIGHTS: Final = "grant the service account roles/storage.objectUser on the bucket"
_STATUS: Final = {
    401: "Cloud Storage does not accept the credentials (401)",
    404: "it is not there (404); or is GCS_BUCKET wrong?",
    429: "Cloud Storage is asked too often (429)",
}
_NO_ADDRESS: Final = "STORAGE_EMULATOR_HOST is no address: it must begin with http:// or https://"
_ON_THE_WAY: Final = {
    requests.exceptions.MissingSchema: _NO_ADDRESS,
    requests.exceptions.InvalidSchema: _NO_ADDRESS,
    requests.Timeout: "Google did not answer in time",
    requests.ConnectionError: "Google cannot be reached",
}
"""The first that it is."""


@contextmanager
def translated(what: str, *, remedy: str = RIGHTS) -> Iterator[None]:
    """Let out no error of Google's, but StorageUnavailable, which says `what` could not be done.

    `remedy` is what helps if it is forbidden.
    """
    try:
        yield
    except FOREIGN as error:
        raise StorageUnavailable(f"{what}: {_words(error, remedy)}") from None


def _words(error: Any, remedy: str) -> str:
    match error:
        case RetryError():
            return _words(error.cause, remedy)
        case GoogleAPICallError():
            return _refusal(error.code, _reason(error), remedy)
        case InvalidResponse():
            return _refusal(error.response.status_code, "", remedy)
        case DefaultCredentialsError():
            return (
                "there are no usable credentials; set GOOGLE_APPLICATION_CREDENTIALS to a key "
                "file, or run it as a service account"
            )
        case RefreshError():
            return (
                "Google gives no token; is the service account's key still valid, and the clock "
                "right?"
            )
        case TransportError(args=[Exception() as cause, *_]):
            return _words(cause, remedy)
        case TransportError():
            # Nobody else has words of their own for it.
            return f"IAM does not sign; {remedy}"
    found = [words for kind, words in _ON_THE_WAY.items() if isinstance(error, kind)]
    return found[0] if found else f"Google's answer cannot be used ({type(error).__name__})"


def _refusal(status: int | None, reason: str, remedy: str) -> str:
    told = f"{status}, {reason}" if reason else f"{status}"
    if status == 403:
        return f"it is forbidden ({told}); {remedy}"
    return _STATUS.get(status or 0, f"Cloud Storage answered {told}")


def _reason(error: GoogleAPICallError) -> str:
    """Google's own name for what is wrong, where there is one."""
    told = error.errors
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        # Of an upload the library does not read it.
        told = told or error.response.json()["error"]["errors"]
        reason = str(told[0]["reason"])
        return reason if re.fullmatch(r"[A-Za-z]{1,60}", reason) else ""
    return ""
