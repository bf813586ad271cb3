"""What every accepted request has come to, whatever died meanwhile, and what must never be."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
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
    #: Commands, refused ones among them, where people ask.
    asked: int = 0
    #: Answers beyond the first where Discord itself left it unknown whether that had arrived.
    unknown: int = 0
    #: Promised by a bot that was killed before it had handed them over: nobody else knows of them.
    cut_off: int = 0
    #: From the end of the fault until all had ended.
    seconds: float = 0.0
    #: What is wrong, in words.
    complaints: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, nothing done twice, and the books are right."""
        return not self.lost and not self.doubled and not self.complaints


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


COLUMNS: Final[Sequence[tuple[str, int, Callable[[Line], object]]]] = (
    ("fault", 34, lambda line: line.fault),
    ("asked", 6, lambda line: line.asked or line.accepted),
    ("accepted", 10, lambda line: line.accepted),
    ("ended", 7, lambda line: line.ended),
    ("paid calls", 12, lambda line: line.paid_calls),
    ("answers", 9, lambda line: line.answers),
    ("unknown", 9, lambda line: line.unknown),
    ("cut off", 9, lambda line: line.cut_off),
    ("lost", 6, lambda line: line.lost),
    ("doubled", 9, lambda line: line.doubled),
    ("seconds", 9, lambda line: f"{line.seconds:.1f}"),
)


def table(lines: Sequence[Line]) -> str:
    """All of them, for people, and what is wrong with each."""
    head, *others = (
        ["".join(_cell(name, width) for name, width, _ in COLUMNS)],
        *(
            ["".join(_cell(shown(line), width) for _, width, shown in COLUMNS)]
            + [f"    {each}" for each in line.complaints]
            for line in lines
        ),
    )
    return "\n".join([*head, *(each for other in others for each in other)])


def _cell(value: object, width: int) -> str:
    return f"{value!s:<{width}}" if width > 20 else f"{value!s:>{width}}"


def over_all(lines: Sequence[Line]) -> Line:
    """Of one fault in many runs: sums, and the longest time."""
    names = [each.name for each in fields(Line) if each.type is int]
    sums = {name: sum(getattr(line, name) for line in lines) for name in names}
    wrong = tuple(each for line in lines for each in line.complaints)
    return Line(
        fault=lines[0].fault,
        seconds=max(line.seconds for line in lines),
        complaints=wrong,
        **sums,
    )
