"""Signed URLs, version 4: made of a request what was signed, and judged by the account's key."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from tests.e2e.google.accounts import Account

ALGORITHM: Final = "GOOG4-RSA-SHA256"
LONGEST: Final = 604_800
"""Seconds, a week."""


@dataclass(frozen=True)
class Denied(Exception):
    """The URL does not open anything."""

    status: int
    code: str


def signer(
    request: web.Request, find: Callable[[str], Account | None], *, now: datetime
) -> Account:
    """Who has signed this request. Raises Denied."""
    query = request.query
    try:
        email, _, scope = query["X-Goog-Credential"].partition("/")
        signed_at = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lifetime = int(query["X-Goog-Expires"])
        signature = bytes.fromhex(query["X-Goog-Signature"])
        names = query["X-Goog-SignedHeaders"]
    except (KeyError, ValueError):
        raise Denied(400, "AuthenticationRequired") from None
    is_sound = (
        query.get("X-Goog-Algorithm") == ALGORITHM
        and scope == f"{signed_at:%Y%m%d}/auto/storage/goog4_request"
        and 1 <= lifetime <= LONGEST
        and "host" in names.split(";")
    )
    if not is_sound:
        raise Denied(400, "InvalidArgument")
    account = find(email)
    signed = _signed(request, names, query["X-Goog-Date"], scope)
    if account is None or not account.has_signed(signed, signature):
        raise Denied(403, "SignatureDoesNotMatch")
    age = (now - signed_at).total_seconds()
    if age < -900:
        raise Denied(403, "RequestTimeTooSkewed")
    if age > lifetime:
        raise Denied(400, "ExpiredToken")
    return account


def _signed(request: web.Request, names: str, date: str, scope: str) -> bytes:
    """The string to sign, which has a digest of the canonical request at its end."""
    pairs = request.rel_url.raw_query_string.split("&")
    pairs = sorted(pair for pair in pairs if not pair.startswith("X-Goog-Signature="))
    headers = [f"{name}:{request.headers[name].strip()}\n" for name in names.split(";")]
    canonical = [
        request.method,
        request.rel_url.raw_path,
        "&".join(pairs),
        "".join(headers),
        names,
        "UNSIGNED-PAYLOAD",
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    return f"{ALGORITHM}\n{date}\n{scope}\n{digest}".encode()
