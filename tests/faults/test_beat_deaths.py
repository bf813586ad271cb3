"""Death of beat, at each moment, and two of them: nobody misses it, and nothing is done twice."""

from contextlib import ExitStack
from typing import Any, Final

import psutil
import pytest

from tests.faults.conftest import Record
from tests.faults.ledger import Line, draw_up
from tests.faults.points import Death
from tests.faults.relay import Relay, relay
from tests.faults.scene import Scene, Victim, scene
from tests.workers.conftest import MakeSystem
from tests.workers.running import Process

AT_ONCE: Final = 3
"""Requests under way at each death."""
SETTINGS: Final[dict[str, Any]] = {
    "SANDBOX_OUTCOME": "failed",
    "SANDBOX_SECONDS": 1,
    "RESCUE_AFTER_SECONDS": 1,
    "REQUEST_RETENTION_DAYS": 1,
}
BOUND: Final = 60.0
SWEEPS: Final = 20
"""Messages that may lie there of sweeps: they expire in two seconds."""


def kill_at_a_sweep(scene: Scene, way: Relay, death: Death) -> Process:
    """A beat, and its death before it has sent a sweep, or after. Nothing is left of it."""
    with way.held("LPUSH", '"task": "sweep"', when=death) as hold:
        beat = scene.studio.system.start_beat(REDIS_URL=way.url)
        line = hold.wait()
        connections = psutil.Process(beat.pid).net_connections()
        assert line in {each.laddr.port for each in connections}
        assert not beat.children()
        beat.kill()
    return beat


@pytest.mark.parametrize("when", Death)
def test_beat_ends_when_it_is_told_to_though_it_waits_for_redis(
    make_system: MakeSystem, when: Death
) -> None:
    # redis-py makes another error of the one that is to end beat there.
    system = make_system()
    with (
        relay(system.environment["REDIS_URL"]) as way,
        way.held("LPUSH", '"task": "sweep"', when=when) as hold,
    ):
        beat = system.start_beat(REDIS_URL=way.url)
        hold.wait()
        beat.terminate()
        assert beat.wait(within=10) == 0


@pytest.mark.long
def test_beat_dies(make_system: MakeSystem, record: Record) -> None:
    with ExitStack() as stack:
        found = stack.enter_context(scene(make_system, Victim.CHILD, **SETTINGS))
        system = found.studio.system
        # One of its own: the worker sends sweeps, too.
        way = stack.enter_context(relay(system.environment["REDIS_URL"]))
        asked = {}
        for name, death in (
            ("beat: nothing sent", Death.BEFORE),
            ("beat: a sweep sent", Death.AFTER),
        ):
            asked[name] = [found.ask() for _ in range(AT_ONCE)] + [found.admit()]
            kill_at_a_sweep(found, way, death)
        asked["two beats, one dies"] = [found.ask() for _ in range(AT_ONCE)] + [found.admit()]
        other = system.start_beat()
        kill_at_a_sweep(found, way, Death.AFTER)
        for each in [one for several in asked.values() for one in several]:
            found.wait_until_delivered(each, within=BOUND)
        lines = [draw_up(name, found.studio, each) for name, each in asked.items()]
        record(*lines)
        number = AT_ONCE + 1
        for line in lines:
            assert line == Line(line.fault, number, number, number, number, 0, 0)
        system.wait_until_quiet()
        assert len(system.broker.messages(sweeps=True)) < SWEEPS
        assert other.status is None
