"""What Celery may do to a message at any time: bring it again, late, or twice (DESIGN, 1 to 3)."""

import base64
import json
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, update

from db import leases, requests
from db.engine import Database
from db.records import NewRequest, Request
from db.sent import LIFE
from db.states import Status
from db.tables import video_requests
from tests.db.rows import LEASE, admitted, make_due, new_request
from tests.workers.broker import altered
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import admitting, chain, following, starting
from workers.app import FOLLOWING, SENT_AT, app
from workers.chain import LINKS
from workers.providers.sandbox import SandboxProvider
from workers.settings import SandboxOutcome
from workers.starting import Step

CREATE, START, POLL, FINALIZE = LINKS

#: How a row stands when the message comes; then what the system has to show for it.
ROWS = ("missing", "pending", "claimed", "generating", "completed", "failed", "timeout")

#: What comes of a row when the very same message of a link comes twice. Where nothing is named
#: the row stays as it was, to the last column: the message ends quietly.
OUTCOMES = {
    (CREATE, "missing"): Status.COMPLETED,
    (CREATE, "pending"): Status.COMPLETED,
    (CREATE, "generating"): Status.COMPLETED,
    (START, "pending"): Status.COMPLETED,
    (START, "generating"): Status.COMPLETED,
    # It is parked, and the sweeper starts it.
    (POLL, "generating"): Status.COMPLETED,
    (FINALIZE, "generating"): Status.COMPLETED,
}
#: What never happens but by somebody's meddling, and is told of as an error.
ERRORS = {
    (START, "missing"): "There is no request",
}
CASES = [(link, state) for link in LINKS for state in ROWS]


def asked() -> NewRequest:
    return new_request(user_id=f"user-{uuid4()}", generate_audio=False)


def prepare(system: System, state: str) -> NewRequest:
    """A request that got to `state` by the steps of the product, made here one by one."""
    new, context = asked(), system.context
    if state in ("failed", "timeout"):
        # No video is made, which is quicker.
        context = replace(context, provider=sandbox(system, SandboxOutcome.NEVER))
    if state == "missing":
        return new
    admitting.admit(context, new)
    if state == "claimed":
        with system.database.autocommit() as conn:
            leases.claim(conn, new.id, uuid4(), lease=timedelta(hours=1))
    if state in ("generating", "completed", "failed", "timeout"):
        assert starting.start(context, new.id) is Step.DONE
    if state == "completed":
        assert following.finalize(context, new.id) is Step.DONE
    with system.database.begin() as conn:
        if state == "failed":
            requests.fail(conn, new.id, code="internal", message="It went wrong")
        if state == "timeout":
            requests.time_out(conn, new.id, message="It took too long")
    return new


def sandbox(system: System, outcome: SandboxOutcome) -> SandboxProvider:
    return SandboxProvider(system.videos, seconds=0, outcome=outcome)


def message_of(system: System, link: str, new: NewRequest) -> tuple[str, bytes]:
    """The message of one link, with the rest of the chain and all headers in it."""
    headers = {chain.HEADER: {**asdict(new), "id": str(new.id)}}
    rest = LINKS[LINKS.index(link) :]
    [message] = system.broker.record(
        lambda: chain._send(chain._links(rest, new.id, headers=headers))
    )
    return message


@pytest.fixture(scope="module")
def system(make_shared_system: MakeSystem) -> System:
    """A worker that no row falls due to while the messages run."""
    system = make_shared_system(RESCUE_AFTER_SECONDS=3600)
    system.start_worker()
    return system


@pytest.fixture(scope="module")
def before_and_after(
    system: System,
) -> dict[tuple[str, str], tuple[UUID, Request | None, Request | None]]:
    """For each case the row before its message came twice, and when all was quiet again."""
    news = {case: prepare(system, case[1]) for case in CASES}
    before = {case: system.find(new.id) for case, new in news.items()}
    for case, new in news.items():
        message = message_of(system, case[0], new)
        for _ in range(2):
            system.broker.deliver(*message)
    wanted = [new.id for case, new in news.items() if case in OUTCOMES]
    system.wait_until_ended(wanted)
    system.wait_until_quiet()
    return {case: (new.id, before[case], system.find(new.id)) for case, new in news.items()}


@pytest.mark.parametrize(("link", "state"), CASES)
def test_the_same_message_twice(
    system: System,
    before_and_after: dict[tuple[str, str], tuple[UUID, Request | None, Request | None]],
    link: str,
    state: str,
) -> None:
    request_id, before, after = before_and_after[link, state]
    paid = state in ("generating", "completed", "failed", "timeout")
    if (link, state) in OUTCOMES:
        assert after is not None
        assert after.status is OUTCOMES[link, state]
        assert system.story(request_id) == ["created", "generating", "completed"]
        assert system.calls()[request_id] == 1
        if before is not None and before.started_at is not None:
            assert (after.started_at, after.operation_name) == (
                before.started_at,
                before.operation_name,
            )
    else:
        assert system.calls()[request_id] == paid
        if after is None or before is None:
            assert after is before
        elif (link, state) == (POLL, "claimed"):
            # The call's output is looked for, and the request parked.
            assert (after.status, after.claim) == (Status.PENDING, before.claim)
            assert system.story(request_id) == ["created"]
        elif (link, state) not in ERRORS:
            assert after == before
    if (link, state) == (FINALIZE, "claimed"):
        # Not even the storage is asked.
        assert not system.worker.said("outputs_unavailable", request_id=str(request_id))
    errors = [
        line
        for line in system.lines
        if line["level"] in ("error", "critical") and line.get("request_id") == str(request_id)
    ]
    if (link, state) in ERRORS:
        assert errors
        assert all(ERRORS[link, state] in line["event"] for line in errors), errors
    else:
        assert not errors


STATES = {CREATE: "missing", START: "pending", POLL: "generating", FINALIZE: "generating"}


@pytest.mark.parametrize("link", LINKS)
def test_a_message_of_the_release_before_is_worked_on(system: System, link: str) -> None:
    """It tells neither when it was sent nor when it was asked for, and knows fewer columns."""
    new = prepare(system, STATES[link])
    queue, raw = message_of(system, link, new)
    message = json.loads(raw)
    [arguments, options, embedded] = json.loads(base64.b64decode(message["body"]))
    headers = [message["headers"]]
    headers += [each["options"].get("headers") or {} for each in embedded["chain"] or ()]
    for each in headers:
        for later in (SENT_AT, chain.ASKED_AT):
            each.pop(later, None)
        for later in ("provider", "model", "cost_usd", "source_id", "negative_prompt", "seed"):
            each.get(chain.HEADER, {}).pop(later, None)
    body = json.dumps([arguments, options, embedded])
    message["body"] = base64.b64encode(body.encode()).decode()
    system.broker.deliver(queue, json.dumps(message).encode())
    [row] = system.wait_until_ended([new.id])
    assert row.status is Status.COMPLETED
    assert system.calls()[new.id] == 1
    assert (row.negative_prompt, row.source_id) == (None, None)


def test_a_message_of_a_later_release_waits_for_a_worker_of_that(make_system: MakeSystem) -> None:
    system = make_system()
    worker = system.start_worker()
    new = asked()
    [(queue, raw)] = system.broker.record(lambda: chain.enqueue(new))
    system.broker.deliver(queue, altered(raw, video_request=new.as_row() | {"style": "oil"}))

    def is_to_be_tried_again() -> bool:
        return any(each.eta and new.id in each.request_ids for each in system.broker.messages())

    until(is_to_be_tried_again, what="it is to be tried again")
    said = "A later release has made this request, with style"
    until(lambda: said in worker.log, what="the log says why")
    assert "Traceback" not in worker.log
    assert system.find(new.id) is None
    # Nobody waits for it any more when its answer can be filled no more.
    old = (datetime.now(UTC) - LIFE).isoformat()
    late = new.as_row() | {"style": "oil"}
    system.broker.deliver(queue, altered(raw, video_request=late, video_asked_at=old))
    until(lambda: worker.said("request_given_up"), what="an old one is given up")
    # One that says nothing of what is new there need not wait.
    system.broker.deliver(queue, altered(raw, video_request=new.as_row() | {"style": None}))
    [row] = system.wait_until_ended([new.id])
    assert row.status is Status.COMPLETED


def test_a_marker_without_a_claim_is_a_call_of_unknown_outcome(system: System) -> None:
    """Somebody made the call and his claim was lost with the database, say."""
    new = prepare(system, "pending")
    context = system.context
    assert context.storage.create_marker(context.storage.prefix_for(new.id), uuid4())
    system.broker.deliver(*message_of(system, START, new))
    until(
        lambda: system.worker.said("start_outcome_unknown", request_id=str(new.id)),
        what="the marker is met",
    )
    system.wait_until_quiet()
    row = system.row(new.id)
    assert row.status is Status.PENDING
    assert row.claim is not None
    assert new.id not in system.calls()


def test_what_has_expired_is_thrown_away(system: System) -> None:
    new = prepare(system, "pending")
    expired = datetime.now(UTC) - timedelta(seconds=1)
    for send in (
        lambda: chain.resume(new.id, at=START, expires_at=expired),
        lambda: chain.poll_together([new.id], expires_at=expired),
    ):
        [message] = system.broker.record(send)
        system.broker.deliver(*message)
    before = system.row(new.id)
    system.wait_until_quiet()
    assert system.row(new.id) == before
    thrown_away = [line for line in system.lines if "Discarding revoked task" in line["event"]]
    assert len(thrown_away) == 2


def test_two_sweepers_at_once_take_different_rows(database: Database) -> None:
    due = {admitted(database) for _ in range(7)}
    make_due(database, *due)
    with database.begin() as one, database.begin() as two:
        first = {row.id for row in leases.take_due(one, limit=3, lease=LEASE)}
        second = {row.id for row in leases.take_due(two, limit=1000, lease=LEASE)}
    assert len(first) == 3
    assert not first & second
    assert first | second == due
    with database.begin() as conn:
        assert not leases.take_due(conn, limit=1000, lease=LEASE)


def test_any_number_of_sweeps_sends_each_row_once(make_system: MakeSystem) -> None:
    system = make_system(SANDBOX_OUTCOME="never", RESCUE_AFTER_SECONDS=60)
    ids = [prepare(system, "pending").id for _ in range(40)]
    make_due(system.database, *ids)
    [sweep] = system.broker.record(lambda: app.send_task("sweep"))
    for _ in range(30):
        system.broker.deliver(*sweep)
    system.start_worker(concurrency=4)
    for request_id in ids:
        system.wait_for_row(request_id, lambda row: row.status is Status.GENERATING)
    starts = [line for line in system.lines if "Task start_generation" in line["event"]]
    assert sum("received" in line["event"] for line in starts) == len(ids)
    assert system.calls() == Counter(ids)


def test_sweeps_of_beat_and_two_workers_do_not_pile_up_messages(make_system: MakeSystem) -> None:
    """For as long as nobody gets round to following anything, and after that."""
    system = make_system(SANDBOX_OUTCOME="never", RESCUE_AFTER_SECONDS=2)
    ids = [new.id for new in (asked() for _ in range(60))]
    for _ in range(2):
        system.start_worker()
    system.start_beat()
    with system.broker.in_use():
        replies = app.control.cancel_consumer(FOLLOWING, reply=True, limit=2, timeout=30)
    assert len(replies or []) == 2
    system.submit(*(new_request(id=i, user_id="someone") for i in ids))
    for request_id in ids:
        system.wait_for_row(request_id, lambda row: row.status is Status.GENERATING)
    end = datetime.now(UTC) + timedelta(seconds=7)
    most: Counter[UUID] = Counter()
    sweeps = 0

    def look() -> bool:
        nonlocal most, sweeps
        # The chain's own poll_operation waits there as well, until the row falls due first.
        swept = [m for m in system.broker.messages(sweeps=True) if m.expires is not None]
        sweeps = max(sweeps, sum(m.task == "sweep" for m in swept))
        # A link is still held when the next one of the same chain has been sent.
        rescues = {
            (request_id, message.root_id)
            for message in swept
            if message.task != "sweep" and not message.expires_within(0.2)
            for request_id in message.request_ids
        }
        most |= Counter(request_id for request_id, _ in rescues)
        return datetime.now(UTC) > end

    until(look, what="three leases have passed")
    assert set(most) == set(ids)
    assert max(most.values()) == 1
    # Three send one a second, and none lives for longer than two.
    assert sweeps <= 9

    with system.broker.in_use():
        app.control.add_consumer(FOLLOWING, reply=True, limit=2, timeout=30)
    until(
        lambda: not [m for m in system.broker.messages() if m.has_expired],
        what="the expired messages are thrown away",
    )
    until(lambda: system.overdue(1) == 0, what="all are followed as before")
    assert system.calls() == Counter(ids)


def test_one_bad_row_does_not_hold_up_the_others(make_system: MakeSystem) -> None:
    system = make_system(
        SANDBOX_OUTCOME="failed", RESCUE_AFTER_SECONDS=1, GENERATION_TIMEOUT_SECONDS=600
    )
    ids = [prepare(system, "generating").id for _ in range(20)]
    bad, unreadable, *good = ids
    name = str(system.row(bad).operation_name).rpartition("/")[2]
    (system.videos / ".sandbox" / f"{name}.json").write_text("{")
    name = str(system.row(unreadable).operation_name).rpartition("/")[2]
    (system.videos / ".sandbox" / f"{name}.json").unlink()
    worker = system.start_worker()
    rows = system.wait_until_ended(good)
    assert {row.error_code for row in rows} == {"provider_error"}
    for request_id in (bad, unreadable):
        row = system.row(request_id)
        assert row.status is Status.GENERATING
        failures = worker.said("poll_failed", request_id=str(request_id))
        assert {line["level"] for line in failures} == {"warning"}
    with system.database.begin() as conn:
        at_its_end = update(video_requests).where(video_requests.c.id.in_([bad, unreadable]))
        started_at = video_requests.c.started_at - timedelta(seconds=600)
        conn.execute(at_its_end.values(started_at=started_at, due_at=func.now()))
    rows = system.wait_until_ended([bad, unreadable])
    assert {row.status for row in rows} == {Status.TIMEOUT}
    # Only what nobody expected comes with a trace back.
    assert all("exception" in line for line in worker.said("poll_failed", request_id=str(bad)))
    lines = worker.said("poll_failed", request_id=str(unreadable))
    assert not any("exception" in line for line in lines)


def test_a_storage_that_cannot_be_written_makes_requests_wait(make_system: MakeSystem) -> None:
    system = make_system(RESCUE_AFTER_SECONDS=1)
    # Root may write wherever a folder is, so there is none.
    system.videos.write_text("not a folder")
    worker = system.start_worker()
    [line] = worker.said("storage_unusable")
    assert line["remedy"] == f"Name a folder in OUTPUT_DIR: {system.videos} is a file"
    [request_id] = system.submit(asked())
    row = system.wait_for_row(request_id, lambda row: row.attempts == 1 and row.claim is None)
    assert row.status is Status.PENDING
    [line] = worker.said("start_not_taken", request_id=str(request_id))
    assert "cannot be written" in line["reason"]
    system.videos.unlink()
    [row] = system.wait_until_ended([request_id])
    assert row.status is Status.COMPLETED
    assert system.calls() == {request_id: 1}


def test_a_request_travels_no_further_than_the_paid_call(system: System) -> None:
    """From then on the row has all of it, and no message is larger than it has to be."""
    _, raw = message_of(system, CREATE, asked())
    message = json.loads(raw)
    _, _, embedded = json.loads(base64.b64decode(message["body"]))
    links = {link["task"]: link["options"].get("headers", {}) for link in embedded["chain"]}
    assert {*links} == {START, POLL, FINALIZE}
    carrying = [name for name, headers in links.items() if chain.carries_request(headers)]
    assert chain.carries_request(message["headers"])
    assert carrying == [START]
