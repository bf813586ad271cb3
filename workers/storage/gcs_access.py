"""Who we are to Google: credentials as its libraries find them, and what can sign with them."""

import os
from functools import partial

import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials, Signing
from google.auth.exceptions import DefaultCredentialsError
from google.auth.iam import Signer
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account

from workers.storage import StorageUnavailable

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def session() -> AuthorizedSession:
    """A session that gets its own tokens, and asks once for each: who calls decides on more."""
    # Else Cloud Storage's library asks, behind our back, what we have no right to know.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except DefaultCredentialsError:
        if not os.environ.get("STORAGE_EMULATOR_HOST"):
            raise
        # Most emulators ask for none.
        credentials = AnonymousCredentials()
    return AuthorizedSession(credentials, max_refresh_attempts=1, auth_request=Request())


def signing(credentials: Credentials, patience: float) -> Signing:
    """What can sign a link: the account's key, or IAM in its name where there is only a token.

    Raises StorageUnavailable where these are no service account's.
    """
    if isinstance(credentials, Signing):
        return credentials
    request = partial(Request(), timeout=patience)
    if not credentials.valid:
        # Only then does it tell whose it is.
        credentials.refresh(request)
    email = getattr(credentials, "service_account_email", None)
    if email is None:
        raise StorageUnavailable(
            "Only a service account can sign links; run it as one, or set GCS_LINKS=public"
        )
    return service_account.Credentials(
        Signer(request, credentials, email),
        email,
        token_uri="",
    )
