"""A limit is reached, and the request that comes again has perhaps been paid for already."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from db.records import NewRequest
from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.running import Worker
from tests.workers.storages import folder
from tests.workers.waiting import until
from workers import chain
from workers.storage.folder import path_of


def send_again(system: System, new: NewRequest) -> None:
    """As the bot does what is no row after its minute."""
    with system.broker.in_use():
        chain.enqueue(new, asked_at=datetime.now(UTC) - timedelta(minutes=1))


def is_refused(worker: Worker, new: NewRequest) -> bool:
    """Whether it is on its way to whoever asked that he has had his videos."""
    about = {"task": "deliver_refusal", "request_id": str(new.id)}
    return any(about.items() <= line.items() for line in worker.lines)


def test_rl1_nobody_is_refused_while_it_is_unknown_whether_he_has_paid(
    make_system: MakeSystem,
) -> None:
    system = make_system(DAILY_LIMIT=1)
    worker = system.start_worker()
    paid, unpaid = (new_request(channel_id="200000000000000001") for _ in range(2))
    system.wait_until_ended(system.submit(new_request()))
    storage = system.context.storage
    prefix = storage.prefix_for(paid.id)
    assert storage.create_marker(prefix, uuid4())
    with folder(path_of(prefix).parent).broken():
        send_again(system, paid)
        until(lambda: worker.said("marker_not_confirmed"), what="nobody can tell")
        system.wait_until_quiet()
        assert not is_refused(worker, paid)
        assert system.find(paid.id) is None
    send_again(system, paid)
    send_again(system, unpaid)
    until(lambda: is_refused(worker, unpaid), what="the other is refused")
    until(lambda: system.find(paid.id), what="it has its row")
    assert system.row(paid.id).counted
    assert not system.calls()[paid.id]
    assert system.find(unpaid.id) is None
