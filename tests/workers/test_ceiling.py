"""What bounds the cost of an outage, by itself."""

from uuid import uuid4

from workers.ceiling import WINDOW, Ceiling


def test_it_is_each_persons_own_and_ends_with_the_window() -> None:
    now = 0.0
    ceiling = Ceiling(now=lambda: now)
    for _ in range(2):
        assert [ceiling.take("ana", uuid4(), most=2) for _ in range(3)] == [True, True, False]
        now += WINDOW
    assert ceiling.take("ana", uuid4(), most=2)
    assert ceiling.take("bob", uuid4(), most=2)


def test_the_same_request_is_counted_once() -> None:
    ceiling, first = Ceiling(), uuid4()
    assert [ceiling.take("ana", first, most=2) for _ in range(3)] == [True] * 3
    assert [ceiling.take("ana", uuid4(), most=2) for _ in range(2)] == [True, False]
    assert ceiling.take("ana", first, most=2)
