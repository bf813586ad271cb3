"""The last step of the chain, and who comes too late for it."""

import pytest

from db import requests
from db.engine import Database
from db.records import Request
from db.states import Status
from tests.db.rows import new_request, row
from tests.workers.test_money import context_of
from workers import admitting, examining, following, memory, starting
from workers.context import Context
from workers.examining import Finding
from workers.settings import SandboxOutcome
from workers.starting import Step


def test_who_comes_too_late_to_complete_it_ends_quietly(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, new = context_of(database, SandboxOutcome.COMPLETED), new_request()
    admitting.admit(context, new)
    assert starting.start(context, new.id) is Step.DONE
    publish = examining.publish

    def publish_late(context: Context, request: Request) -> Finding:
        with context.database.begin() as conn:
            requests.time_out(conn, request.id, message="It took too long")
        return publish(context, request)

    monkeypatch.setattr(examining, "publish", publish_late)
    assert following.finalize(context, new.id) is Step.STOPPED
    assert row(database, new.id).status is Status.TIMEOUT
    # Nor is the end remembered that it found.
    assert memory.forget(new.id) is None
