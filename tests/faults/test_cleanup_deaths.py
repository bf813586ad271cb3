"""Death of a cleanup, among the outputs and among the rows: the next run finishes (RE1)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from db import budgets, limits
from db.standing import Budget, Period, Scope
from db.states import Status
from tests.db.old import ids_in, now, put, values
from tests.e2e.delivery import Asked
from tests.e2e.google.cloud import BUCKET
from tests.e2e.google.studio import Google
from tests.faults.points import Death, Point
from tests.faults.scene import Reached, Scene, Victim, scene_at_google
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until
from workers.app import app
from workers.retention import BATCH

OLD: Final = BATCH + 5
"""Requests that a cleanup finds: more than one batch."""
SETTINGS: Final[dict[str, Any]] = {
    "REQUEST_RETENTION_DAYS": 1,
    "GENERATION_TIMEOUT_SECONDS": 60,
}
COSTS: Final = Decimal("0.32")

Place = Callable[[Scene, Google], AbstractContextManager[Reached]]


def storage(pattern: str, *, is_after: bool) -> Place:
    return lambda scene, there: scene.calling(there.storage.traffic, pattern, is_after=is_after)


def rows(death: Death) -> Place:
    return lambda scene, _: scene.writing(Point.REMOVAL, death)


CASES: Final[dict[str, Place]] = {
    "listing, received": storage("GET /storage/v1/b/*/o", is_after=False),
    "listing, done": storage("GET /storage/v1/b/*/o", is_after=True),
    "an output, there": storage("DELETE *", is_after=False),
    "an output, gone": storage("DELETE *", is_after=True),
    "rows, there": rows(Death.BEFORE),
    "rows, gone": rows(Death.AFTER),
}


@dataclass(frozen=True)
class Keeping:
    """Requests of two days ago, which are to go, and one of today, which is being made."""

    old: list[UUID]
    being_made: Asked


@contextmanager
def kept(scene: Scene, there: Google, user: str, name: str) -> Iterator[Keeping]:
    """Both, with outputs; and what the limits and budgets count of them stays what it is."""
    database = scene.studio.system.database
    with database.begin() as conn:
        moment = now(conn) - timedelta(days=2)
        old = put(
            conn,
            *(
                values(
                    Status.COMPLETED,
                    moment + timedelta(seconds=n),
                    user_id=user,
                    cost_usd=COSTS,
                    gcs_prefix=None,
                )
                for n in range(OLD)
            ),
        )
        budgets.set_limit(conn, Budget(Scope.USER, user, Period.MONTH, Decimal(1000)))
    for each in old:
        there.storage.put(BUCKET, f"{each}/.claim", b"claim", "text/plain")
        there.storage.put(BUCKET, f"{each}/1/sample_0.mp4", b"video")
    prompt = there.vertex.arrange(f"a fox that is being made: {name}", seconds=None)
    asked = scene.ask(prompt=prompt, user_id=f"{user}")
    scene.studio.system.wait_for_row(asked.id, lambda row: row.status is Status.GENERATING)
    before = counted(scene, user)
    yield Keeping(old, asked)
    assert counted(scene, user) == before
    there.vertex.finish(prompt)
    scene.studio.wait_until_delivered(asked)
    assert asked.answer.attachments


def counted(scene: Scene, user: str) -> tuple[object, ...]:
    """What a user has used of limits and budget; the latter as counted, and summed anew."""
    budget = Budget(Scope.USER, user, Period.MONTH, Decimal(1000))
    with scene.studio.system.database.begin() as conn:
        standing = limits.get_standing(conn, user, "guild", daily_limit=100, monthly_quota=100)
        [as_counted] = [spent for each, spent in budgets.of_all(conn) if each == budget]
        budgets.set_limit(conn, budget)
        [summed] = [spent for each, spent in budgets.of_all(conn) if each == budget]
        return standing.daily.used, standing.monthly.used, as_counted, summed


def clean_up(scene: Scene) -> None:
    """As beat does."""
    with scene.studio.system.broker.in_use():
        app.send_task("cleanup")


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_a_cleanup_dies(make_system: MakeSystem, tmp_path: Path, victim: Victim) -> None:
    with scene_at_google(make_system, victim, tmp_path, **SETTINGS) as (scene, there):
        database = scene.studio.system.database
        for name, place in CASES.items():
            death = Death.AFTER if name == "rows, gone" else Death.BEFORE
            user = f"{scene.gates.mark(Point.REMOVAL, death)}{name}"
            with kept(scene, there, user, name) as keeping:
                with place(scene, there) as is_reached:
                    clean_up(scene)
                    is_reached()
                    left = ids_in(database) & {*keeping.old}
                    assert len(left) == (OLD - BATCH if name == "rows, gone" else OLD)
                    scene.kill()
                if victim is Victim.WORKER:
                    # The message comes back much later: it is the next day's that finishes.
                    clean_up(scene)
                gone = {*keeping.old}
                until(lambda: not ids_in(database) & gone, what=f"{name}: the rows are gone")  # noqa: B023
                names = there.storage.names(BUCKET)
                assert not [each for each in names if UUID(each.partition("/")[0]) in gone]
                assert keeping.being_made.id in ids_in(database)
