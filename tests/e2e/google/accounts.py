"""Service accounts: the tokens they get for a signed assertion, and what IAM signs for them.

Three of Google's services at one local port: the token endpoint of OAuth (RFC 7523), `signBlob` of
the IAM Credentials API, and the metadata server of Compute Engine and Cloud Run, which gives tokens
and no key.
"""

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.e2e.google.serving import served
from tests.e2e.google.traffic import Refused, Traffic

PROJECT: Final = "video-bot-test"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""What every assertion names, whatever the key file's `token_uri`."""
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST: Final = 3600
"""Seconds that an assertion may be good for."""
SKEW: Final = 300
"""Seconds by which the clocks of clients may be wrong."""
METADATA: Final = "/computeMetadata/v1"
FLAVOUR: Final = {"Metadata-Flavor": "Google"}


@dataclass(frozen=True, eq=False)
class Account:
    """A service account with one key."""

    name: str
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def email(self) -> str:
        """What it is known by."""
        return f"{self.name}@{PROJECT}.iam.gserviceaccount.com"

    @property
    def key_id(self) -> str:
        """Of its one key."""
        return f"key-of-{self.name}"

    def sign(self, message: bytes) -> bytes:
        """RSA with SHA-256, as Google signs."""
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this account's."""
        try:
            self.key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Token:
    """What has been given to an account."""

    account: Account
    expires_at: float


class Unaccepted(Exception):
    """An assertion is not accepted; the message says why."""


class Accounts:
    """All accounts, and their tokens. Everything here may be used from any thread."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.url = ""
        #: Seconds that the next tokens last.
        self.lifetime = 3599
        #: Who may have IAM sign for itself (roles/iam.serviceAccountTokenCreator).
        self.signers: set[str] = set()
        #: Whose tokens the metadata server gives.
        self.attached: Account | None = None
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, Token] = {}

    @property
    def token_uri(self) -> str:
        """Where tokens are to be had."""
        return f"{self.url}/token"

    @property
    def on_cloud_run(self) -> dict[str, str]:
        """The environment of a process that has tokens of the metadata server, and no key."""
        host = self.url.removeprefix("http://")
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_IP": host,
        }

    def new(self, name: str = "video-bot") -> Account:
        """An account, which may do nothing yet."""
        account = Account(name, _key(name))
        self._accounts[account.email] = account
        return account

    def write_key(self, account: Account, folder: Path) -> Path:
        """The JSON file for GOOGLE_APPLICATION_CREDENTIALS, as the console gives it."""
        pem = account.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = folder / f"{account.name}.json"
        told = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": account.key_id,
            "private_key": pem.decode(),
            "client_email": account.email,
            "client_id": "100000000000000000001",
            "token_uri": self.token_uri,
            "universe_domain": "googleapis.com",
        }
        path.write_text(json.dumps(told))
        path.chmod(0o600)
        return path

    def new_token(self, account: Account) -> str:
        """A token for the account."""
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._tokens[token] = Token(account, time.time() + self.lifetime)
        return token

    def expire_tokens(self) -> None:
        """No token that was given so far is good any more."""
        self._tokens.clear()

    def find(self, email: str) -> Account | None:
        """The account of that name."""
        return self._accounts.get(email)

    def caller(self, request: web.Request) -> Account | None:
        """Whose call this is; None where its bearer token is missing, unknown or expired."""
        scheme, _, written = request.headers.get("Authorization", "").partition(" ")
        token = self._tokens.get(written)
        is_good = scheme == "Bearer" and token is not None and token.expires_at > time.time()
        return token.account if token is not None and is_good else None

    def account_of(self, assertion: str) -> Account:
        """Whose assertion it is. Raises Unaccepted."""
        try:
            header, claims, signature = (_unpacked(part) for part in assertion.split("."))
            head, told = json.loads(header), json.loads(claims)
        except ValueError:
            raise Unaccepted("Bad Request") from None
        account = self._accounts.get(told["iss"])
        if account is None:
            raise Unaccepted("Invalid grant: account not found")
        signed = assertion.rpartition(".")[0].encode()
        is_known = head["alg"] == "RS256" and head["kid"] == account.key_id
        if not is_known or not account.has_signed(signed, signature):
            raise Unaccepted("Invalid JWT Signature.")
        if told["aud"] != AUDIENCE:
            raise Unaccepted("Invalid JWT: the audience must be the token endpoint.")
        is_recent = told["iat"] - SKEW <= time.time() <= told["exp"] + SKEW
        if not is_recent or told["exp"] - told["iat"] > LONGEST:
            raise Unaccepted("Invalid JWT: iat and exp must frame a short time that is now.")
        if not told.get("scope"):
            raise Unaccepted("Invalid OAuth scope or ID token audience provided.")
        return account

    def routes(self) -> web.RouteTableDef:
        """The endpoints."""
        found = web.RouteTableDef()
        found.post("/token")(self._token)
        found.post("/v1/projects/-/serviceAccounts/{email}:signBlob")(self._sign_blob)
        found.get("/")(self._ping)
        found.get(f"{METADATA}/project/project-id")(self._project)
        found.get(f"{METADATA}/instance/service-accounts/{{name}}/")(self._attached)
        found.get(f"{METADATA}/instance/service-accounts/{{name}}/token")(self._attached_token)
        return found

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != JWT_BEARER:
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        try:
            account = self.account_of(str(form.get("assertion")))
        except Unaccepted as why:
            told = {"error": "invalid_grant", "error_description": str(why)}
            return web.json_response(told, status=400)
        return web.json_response(self._given(account))

    async def _sign_blob(self, request: web.Request) -> web.Response:
        caller = self.caller(request)
        if caller is None:
            raise Refused(401, "Request had invalid authentication credentials.", "authError")
        email = request.match_info["email"]
        if caller.email != email or email not in self.signers:
            told = "Permission 'iam.serviceAccounts.signBlob' denied on resource"
            raise Refused(403, told, "forbidden")
        payload = base64.b64decode((await request.json())["payload"], validate=True)
        signature = base64.b64encode(caller.sign(payload)).decode()
        return web.json_response({"keyId": caller.key_id, "signedBlob": signature})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(headers=FLAVOUR)

    async def _project(self, request: web.Request) -> web.Response:
        return _metadata(request, PROJECT)

    async def _attached(self, request: web.Request) -> web.Response:
        if self.attached is None:
            return web.Response(status=404, headers=FLAVOUR)
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        told = {"aliases": ["default"], "email": self.attached.email, "scopes": scopes}
        return _metadata(request, told)

    async def _attached_token(self, request: web.Request) -> web.Response:
        if self.attached is None:
            return web.Response(status=404, headers=FLAVOUR)
        return _metadata(request, self._given(self.attached))

    def _given(self, account: Account) -> Any:
        token = self.new_token(account)
        return {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}


@contextmanager
def accounts() -> Iterator[Accounts]:
    """Accounts of a test's own, for the block."""
    found = Accounts()
    with served(found.routes(), found.traffic) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found


@cache
def _key(name: str) -> rsa.RSAPrivateKey:
    """Made once for each name: it takes a while."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _metadata(request: web.Request, told: Any) -> web.Response:
    if request.headers.get("Metadata-Flavor") != "Google":
        return web.Response(status=403)
    if isinstance(told, str):
        return web.Response(text=told, headers=FLAVOUR)
    return web.json_response(told, headers=FLAVOUR)


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
