"""What every accepted request has come to, whatever died meanwhile, and what must never be."""

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from db.records import Request
from db.states import Status
from tests.e2e.delivery import Asked, Studio

STORIES: Final = {
    Status.COMPLETED: ["created", "generating", "completed"],
    Status.FAILED: ["created", "generating", "failed", "failed"],
    Status.TIMEOUT: ["created", "generating", "timeout"],
}


@dataclass(frozen=True)
class Line:
    """One fault, or a whole soak, in figures."""

    fault: str
    accepted: int
    ended: int
    paid_calls: int
    answers: int
    #: Accepted requests without an end, an answer, their whole history, or a place given back.
    lost: int
    #: Paid calls and answers beyond the first of a request.
    doubled: int

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, and nothing done twice."""
        return not self.lost and not self.doubled


def draw_up(fault: str, studio: Studio, asked: Collection[Asked]) -> Line:
    """The line of what was asked for, once all of it should have ended."""
    system = studio.system
    rows = {row.id: row for row in system.rows([one.id for one in asked])}
    made = system.calls()
    calls = {one.id: made[one.id] for one in asked}
    accepted = [one for one in asked if one.id in rows]
    answers = {one.id: len(studio.answers(one)) for one in accepted}
    return Line(
        fault,
        accepted=len(accepted),
        ended=sum(row.status.has_ended for row in rows.values()),
        paid_calls=sum(calls.values()),
        answers=sum(answers.values()),
        lost=sum(
            not answers[row.id] or not _is_complete(row, system.story(row.id), calls[row.id])
            for row in rows.values()
        ),
        doubled=sum(max(0, number - 1) for number in [*calls.values(), *answers.values()]),
    )


def _is_complete(row: Request, story: Sequence[str], calls: int) -> bool:
    """Whether it ended as its history tells.

    No call was made only where death fell between claim and call: that is a timeout, and counts
    for no limit.
    """
    told = [event for event in story if event != "delivered"]
    is_excused = row.status is Status.TIMEOUT and not row.counted
    return told == STORIES.get(row.status) and (calls == 1 or is_excused)


def table(lines: Sequence[Line]) -> str:
    """All of them, for people."""
    head = ("fault", "accepted", "ended", "paid calls", "answers", "lost", "doubled")
    body = [astuple(each) for each in lines]
    return "\n".join(
        f"{row[0]:<34}" + "".join(f"{cell!s:>12}" for cell in row[1:]) for row in [head, *body]
    )
