"""Ctrl-C, SIGTERM and SIGHUP end a command in order: as a KeyboardInterrupt that none can lose."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_AFTER: Final = 0.05
"""Seconds."""

_received: list[int] = []


@contextmanager
def heard() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for each of these signals, wherever it may be.

    Python cannot raise out of a destructor or a weak reference's callback, where it would forget
    the interruption (and a demo has many); then it comes again, a moment later. Libraries may
    make another error of it; whoever meets an error asks :func:`were_received`.

    After the block, Ctrl-C means nothing any more: all that is left is to exit.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Whoever had us started deaf to it, as nohup does, meant it.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _come_again
    try:
        yield
    finally:
        for each in (signal.SIGINT, signal.SIGALRM):
            signal.signal(each, signal.SIG_IGN)
        sys.unraisablehook = sys.__unraisablehook__


def were_received() -> bool:
    """Whether this process has been interrupted."""
    return bool(_received)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    _received.append(signum)
    raise KeyboardInterrupt


def _come_again(lost: "UnraisableHookArgs", /) -> None:
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER)
    else:
        sys.__unraisablehook__(lost)
