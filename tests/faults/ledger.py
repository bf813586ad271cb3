"""One line for each fault: what everything that was asked for has come to, and how soon."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from tests.faults.asking import Asked
from tests.faults.books import complaints_of_the_books
from tests.faults.evidence import Evidence
from tests.faults.scene import Scene


@dataclass(frozen=True)
class Line:
    """One fault, or a whole soak, in figures."""

    fault: str
    asked: int
    #: Those of which a row was made.
    accepted: int
    ended: int
    paid_calls: int
    #: Those with a video that came after its time among them.
    answers: int
    #: Answers beyond the first where Discord itself left it unknown whether that had arrived.
    unknown: int
    #: Promised by a bot that was killed before it had handed them over: nobody else knows of them.
    cut_off: int
    #: Without an end, an answer, their whole history, or what had to be given back.
    lost: int
    #: Paid calls and answers beyond the first.
    doubled: int
    #: From the end of the fault until all had ended.
    seconds: float
    #: What is wrong, in words.
    complaints: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, nothing done twice, and the books are right."""
        return not self.lost and not self.doubled and not self.complaints


def draw_up(fault: str, scene: Scene, asked: Sequence[Asked], seconds: float) -> Line:
    """The line of what was asked for, once all of it should have ended."""
    found = Evidence(scene, asked)
    wrong = {one.prompt: [*found.complaints(one)] for one in asked}
    doubled = [found.doubled(one) for one in asked]
    orphans = [f"{each} is left over" for each in scene.orphans()]
    return Line(
        fault,
        asked=len(asked),
        accepted=len(found.rows),
        ended=sum(row.status.has_ended for row in found.rows.values()),
        paid_calls=sum(found.calls[one.prompt] for one in asked),
        answers=sum(len(found.answers[one.id]) for one in asked),
        unknown=sum(unknown for _, unknown in doubled),
        cut_off=sum(found.is_cut_off(one) for one in asked),
        lost=sum(bool(each) for each in wrong.values()),
        doubled=sum(number for number, _ in doubled),
        seconds=seconds,
        complaints=(
            *(f"{prompt} {each}" for prompt, all_of in wrong.items() for each in all_of),
            *complaints_of_the_books(scene, asked),
            *orphans,
        ),
    )


COLUMNS: Final[Sequence[tuple[str, int, Callable[[Line], object]]]] = (
    ("fault", 34, lambda line: line.fault),
    ("asked", 6, lambda line: line.asked),
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
