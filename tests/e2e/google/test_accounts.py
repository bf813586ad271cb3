"""The double of Google's accounts, through Google's own client."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from tests.e2e.google.accounts import Accounts, accounts

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


@pytest.fixture
def google() -> Iterator[Accounts]:
    with accounts() as found:
        yield found


def credentials(path: Path) -> service_account.Credentials:
    found = service_account.Credentials.from_service_account_file(str(path), scopes=SCOPES)
    return cast("service_account.Credentials", found)


def test_a_key_file_gets_a_token_that_expires(google: Accounts, tmp_path: Path) -> None:
    account = google.new()
    google.lifetime = 600
    found = credentials(google.write_key(account, tmp_path))
    found.refresh(Request())
    assert found.token
    assert found.token.startswith("ya29.")
    assert google.traffic.count("POST /token") == 1
    headers = {"Authorization": f"Bearer {found.token}"}
    address = f"{google.url}/v1/projects/-/serviceAccounts/{account.email}:signBlob"
    body = {"payload": base64.b64encode(b"hello").decode()}
    assert requests.post(address, json=body, headers=headers, timeout=5).status_code == 403
    google.signers.add(account.email)
    signed = requests.post(address, json=body, headers=headers, timeout=5).json()["signedBlob"]
    assert account.has_signed(b"hello", base64.b64decode(signed))
    assert not account.has_signed(b"hallo", base64.b64decode(signed))
    google.expire_tokens()
    assert requests.post(address, json=body, headers=headers, timeout=5).status_code == 401


def test_who_is_not_known_gets_no_token(google: Accounts, tmp_path: Path) -> None:
    account, other = google.new(), google.new("other")
    path = google.write_key(account, tmp_path)
    google._accounts.pop(account.email)
    with pytest.raises(RefreshError, match="account not found"):
        credentials(path).refresh(Request())
    google._accounts[account.email] = other
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        credentials(path).refresh(Request())
