"""A question that hangs holds up one thread, and nobody for longer than they want to wait."""

import asyncio
import threading
import time

import pytest

from bot.web.asking import Shared

MANY = 200


class Oracle:
    """A question that hangs until it is let go, past every time-out."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        self.let_go.wait(30)
        return self.asked


def test_many_who_ask_wait_for_one_question() -> None:
    oracle = Oracle()
    shared = Shared(oracle, fresh=60)

    async def ask_at_once() -> None:
        before = threading.active_count()
        begin = time.monotonic()
        answers = (shared.answer(0.2) for _ in range(MANY))
        found = await asyncio.gather(*answers, return_exceptions=True)
        assert {type(each) for each in found} == {TimeoutError}
        assert time.monotonic() - begin < 1
        assert threading.active_count() <= before + 1
        # Those who come later wait for the same.
        with pytest.raises(TimeoutError):
            await shared.answer(0.01)
        assert oracle.asked == 1
        oracle.let_go.set()
        assert await asyncio.gather(*(shared.answer(10) for _ in range(MANY))) == [1] * MANY

    asyncio.run(ask_at_once())


def test_an_answer_stands_for_a_while() -> None:
    oracle = Oracle()
    oracle.let_go.set()

    async def ask_twice(shared: Shared[int]) -> tuple[int, int]:
        return await shared.answer(10), await shared.answer(10)

    assert asyncio.run(ask_twice(Shared(oracle, fresh=60))) == (1, 1)
    assert asyncio.run(ask_twice(Shared(oracle, fresh=0))) == (2, 3)


def test_an_error_is_everybodys_and_the_next_question_is_a_new_one() -> None:
    answers = iter([ValueError("no"), None])

    def ask() -> str:
        if error := next(answers):
            raise error
        return "yes"

    async def ask_again() -> str:
        shared = Shared(ask, fresh=0)
        with pytest.raises(ValueError, match="no"):
            await shared.answer(10)
        return await shared.answer(10)

    assert asyncio.run(ask_again()) == "yes"


def test_a_question_that_outlives_those_who_asked_ends_quietly() -> None:
    oracle = Oracle()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await Shared(oracle, fresh=1).answer(0.01)

    asyncio.run(give_up())
    [thread] = [each for each in threading.enumerate() if each.name == "asking"]
    oracle.let_go.set()
    thread.join(10)
    assert not thread.is_alive()
