"""Cloud Storage on a local port: its JSON API, and the XML API as far as links open with it.

It mirrors what Google documents and what the real client sends: uploads in one request, metadata,
media with ranges, lists with pages, deletion, preconditions on generations, and rights, which every
account has to be given. `STORAGE_EMULATOR_HOST` leads Google's client here.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any, Final
from urllib.parse import quote

import google_crc32c
from aiohttp import web

from tests.e2e.google.accounts import Account, Accounts
from tests.e2e.google.serving import served
from tests.e2e.google.signed import Denied, signer
from tests.e2e.google.traffic import Refused, Traffic

GET, LIST, CREATE, DELETE = (
    f"storage.objects.{each}" for each in ("get", "list", "create", "delete")
)
OBJECT_VIEWER: Final = frozenset({GET, LIST})
OBJECT_USER: Final = frozenset({GET, LIST, CREATE, DELETE})
"""roles/storage.objectViewer and roles/storage.objectUser, as far as they matter."""
NOT_MET: Final = "At least one of the pre-conditions you specified did not hold."
OBJECTS: Final = "/storage/v1/b/{bucket}/o"
OBJECT: Final = OBJECTS + "/{name:.+}"


@dataclass(frozen=True)
class Stored:
    """An object."""

    bucket: str
    name: str
    content: bytes = field(repr=False)
    content_type: str
    generation: int
    at: datetime

    @property
    def crc32c(self) -> str:
        """As Google writes it."""
        return base64.b64encode(google_crc32c.value(self.content).to_bytes(4, "big")).decode()

    def told(self, url: str) -> dict[str, Any]:
        """The resource."""
        path = f"b/{self.bucket}/o/{quote(self.name, safe='')}"
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{url}/storage/v1/{path}",
            "mediaLink": f"{url}/download/storage/v1/{path}?alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": "1",
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": str(len(self.content)),
            "md5Hash": _md5(self.content),
            "crc32c": self.crc32c,
            "timeCreated": self.at.isoformat().replace("+00:00", "Z"),
            "updated": self.at.isoformat().replace("+00:00", "Z"),
        }


@dataclass
class Bucket:
    """What lies in a bucket, and who may do what there."""

    name: str
    objects: dict[str, Stored] = field(default_factory=dict)
    #: By the account's address.
    rights: dict[str, frozenset[str]] = field(default_factory=dict)
    #: Whether allUsers may read.
    is_public: bool = False

    def permits(self, account: Account | None, right: str) -> bool:
        """Whether somebody, or everybody, may do this."""
        given = self.rights.get(account.email, frozenset()) if account else frozenset()
        return right in given or (self.is_public and right == GET)


class FakeStorage:
    """What a test holds in its hands. Everything here may be used from any thread."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.traffic = Traffic()
        self.url = ""
        #: Entries of a page of a list at most.
        self.page_size = 1000
        #: By which its clock is ahead of everybody's.
        self.ahead = timedelta(0)
        #: Bytes after which the connection of the next download is cut.
        self.cut_media_after: int | None = None
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}
        self._generations = count(int(time.time() * 1_000_000))

    def new_bucket(
        self, name: str, *users: Account, rights: frozenset[str] = OBJECT_USER
    ) -> Bucket:
        """A bucket, and who may use it."""
        made = Bucket(name, rights={user.email: rights for user in users})
        self._buckets[name] = made
        return made

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name."""
        return self._buckets[name]

    def put(
        self, bucket: str, name: str, content: bytes, content_type: str = "video/mp4"
    ) -> Stored:
        """Lay an object down, as another of Google's services does."""
        with self._lock:
            made = Stored(
                bucket, name, content, content_type, next(self._generations), datetime.now(UTC)
            )
            self._buckets[bucket].objects[name] = made
            return made

    def find(self, bucket: str, name: str) -> Stored | None:
        """The object of that name."""
        with self._lock:
            return self._buckets[bucket].objects.get(name)

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """What lies there, in order."""
        with self._lock:
            return sorted(name for name in self._buckets[bucket].objects if name.startswith(prefix))

    def routes(self) -> web.RouteTableDef:
        """The endpoints."""
        found = web.RouteTableDef()
        found.post("/upload" + OBJECTS)(self._upload)
        found.get(OBJECTS)(self._list)
        found.get(OBJECT)(self._metadata)
        found.delete(OBJECT)(self._delete)
        found.get("/download" + OBJECT)(self._download)
        found.get("/storage/v1/b/{bucket}")(self._bucket_metadata)
        found.get("/storage/v1/b/{bucket}/iam/testPermissions")(self._permissions)
        found.get("/{bucket}/{name:.+}")(self._open_link)
        return found

    async def _upload(self, request: web.Request) -> web.Response:
        bucket = self._enter(request, CREATE)
        if request.query.get("uploadType") != "multipart":
            raise Refused(400, "This double takes uploads of one request alone.")
        told, content_type, content = _parts(request, await request.read())
        name = told["name"]
        with self._lock:
            _check(request, bucket.objects.get(name))
            made = self.put(bucket.name, name, content, content_type)
        if told.get("crc32c", made.crc32c) != made.crc32c:
            del bucket.objects[name]
            raise Refused(400, "Provided CRC32C does not match the calculated one.")
        return web.json_response(made.told(self.url))

    async def _metadata(self, request: web.Request) -> web.Response:
        if request.query.get("alt") == "media":
            return await self._download(request)
        found = self._object(request, self._enter(request, GET))
        return web.json_response(found.told(self.url))

    async def _download(self, request: web.Request) -> web.Response:
        return self._media(request, self._object(request, self._enter(request, GET)))

    async def _list(self, request: web.Request) -> web.Response:
        bucket = self._enter(request, LIST)
        query = request.query
        names = self.names(bucket.name, query.get("prefix", ""))
        after = base64.b64decode(query.get("pageToken", "")).decode()
        names = [name for name in names if name > after]
        most = min(int(query.get("maxResults", self.page_size)), self.page_size)
        found = [bucket.objects[name].told(self.url) for name in names[:most]]
        told: dict[str, Any] = {"kind": "storage#objects"}
        if found:
            told["items"] = found
        if len(names) > most:
            told["nextPageToken"] = base64.b64encode(names[most - 1].encode()).decode()
        return web.json_response(told)

    async def _delete(self, request: web.Request) -> web.Response:
        bucket = self._enter(request, DELETE)
        with self._lock:
            del bucket.objects[self._object(request, bucket).name]
        return web.Response(status=204)

    async def _bucket_metadata(self, request: web.Request) -> web.Response:
        bucket = self._enter(request, "storage.buckets.get")
        told = {"kind": "storage#bucket", "id": bucket.name, "name": bucket.name}
        return web.json_response({**told, "location": "US-CENTRAL1"})

    async def _permissions(self, request: web.Request) -> web.Response:
        caller, bucket = self._whom_and_where(request)
        held = [
            each for each in request.query.getall("permissions") if bucket.permits(caller, each)
        ]
        told: dict[str, Any] = {"kind": "storage#testIamPermissionsResponse"}
        return web.json_response({**told, "permissions": held} if held else told)

    async def _open_link(self, request: web.Request) -> web.Response:
        """By the XML API, which answers in XML."""
        bucket = self._buckets.get(request.match_info["bucket"])
        if bucket is None:
            return _xml(404, "NoSuchBucket")
        account = None
        if "X-Goog-Signature" in request.query:
            try:
                now = datetime.now(UTC) + self.ahead
                account = signer(request, self.accounts.find, now=now)
            except Denied as why:
                return _xml(why.status, why.code)
        if not bucket.permits(account, GET):
            return _xml(403, "AccessDenied")
        found = self.find(bucket.name, request.match_info["name"])
        return _xml(404, "NoSuchKey") if found is None else self._media(request, found)

    def _media(self, request: web.Request, found: Stored) -> web.Response:
        size = len(found.content)
        wanted = request.http_range
        start, stop = wanted.start or 0, min(wanted.stop or size, size)
        is_part = "Range" in request.headers
        if is_part and start >= size:
            raise Refused(416, "The requested range cannot be satisfied.")
        headers = {
            "Content-Type": found.content_type,
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Hash": f"crc32c={found.crc32c}",
            "X-Goog-Stored-Content-Length": str(size),
            "X-Goog-Stored-Content-Encoding": "identity",
        }
        if is_part:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        body: Any = found.content[start:stop]
        cut, self.cut_media_after = self.cut_media_after, None
        if cut is not None:
            headers["Content-Length"] = str(len(body))
            body = _half(request, body[:cut])
        return web.Response(status=206 if is_part else 200, headers=headers, body=body)

    def _enter(self, request: web.Request, right: str) -> Bucket:
        """The bucket, for somebody who may do this there."""
        caller, bucket = self._whom_and_where(request)
        if not bucket.permits(caller, right):
            who = caller.email if caller else "Anonymous caller"
            told = f"{who} does not have {right} access. Permission '{right}' denied on resource."
            raise Refused(403 if caller else 401, told, "forbidden" if caller else "required")
        return bucket

    def _whom_and_where(self, request: web.Request) -> tuple[Account | None, Bucket]:
        caller = self.accounts.caller(request)
        if caller is None and "Authorization" in request.headers:
            raise Refused(401, "Invalid Credentials", "authError")
        bucket = self._buckets.get(request.match_info["bucket"])
        if bucket is None:
            raise Refused(404, "The specified bucket does not exist.", "notFound")
        return caller, bucket

    def _object(self, request: web.Request, bucket: Bucket) -> Stored:
        name = request.match_info["name"]
        found = self.find(bucket.name, name)
        if found is None:
            raise Refused(404, f"No such object: {bucket.name}/{name}", "notFound")
        _check(request, found)
        return found


@contextmanager
def fake_storage(accounts: Accounts) -> Iterator[FakeStorage]:
    """Cloud Storage of a test's own, for the block; it knows these accounts."""
    found = FakeStorage(accounts)
    with served(found.routes(), found.traffic) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found


@lru_cache
def _md5(content: bytes) -> str:
    """As Google writes it; it is asked for at every look at an object."""
    return base64.b64encode(hashlib.md5(content).digest()).decode()  # noqa: S324


def _check(request: web.Request, found: Stored | None) -> None:
    """Hold to the precondition. A generation of 0 is that of what is not there."""
    wanted = request.query.get("ifGenerationMatch", request.query.get("generation"))
    if wanted is not None and int(wanted) != (found.generation if found else 0):
        raise Refused(412, NOT_MET, "conditionNotMet")


def _parts(request: web.Request, body: bytes) -> tuple[Any, str, bytes]:
    """Metadata, and the content with its type, of a body that is multipart/related."""
    named = re.search(r'boundary="?([^";]+)', request.headers["Content-Type"])
    if named is None:
        raise Refused(400, "Multipart bodies must have a boundary.")
    _, told, media, _ = body.split(f"--{named[1]}".encode())
    content_type = re.search(rb"content-type: *([^\r\n]+)", media, re.IGNORECASE)
    content = media.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    written = content_type[1].decode() if content_type else "application/octet-stream"
    return json.loads(told.partition(b"\r\n\r\n")[2]), written, content


async def _half(request: web.Request, part: bytes) -> AsyncIterator[bytes]:
    """Some of a body, and no more."""
    yield part
    if request.transport is not None:
        request.transport.abort()


def _xml(status: int, code: str) -> web.Response:
    told = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
    return web.Response(status=status, text=told, content_type="application/xml")
