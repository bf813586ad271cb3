"""A Celery application of four links that do nothing, with the options of ours and nothing else.

It knows nothing of the project: the options it has in common with ``workers.app`` come in
``BARE_OPTIONS``. The last link notes the time in the file ``BARE_ENDS``, as a row would.
"""

import json
import os
import sys
import time
from functools import cache
from typing import Any, Final

from celery import Celery, Signature, chain
from kombu import Queue

LINKS: Final = ("create_request", "start_generation", "poll_operation", "finalize")

app = Celery("bare")


def links(number: str) -> Signature[Any]:
    """A chain, which its number tells from the others."""
    return chain(*(app.signature(name, args=[number], immutable=True) for name in LINKS))


@app.task(name=LINKS[0])
def _first(number: str) -> None:
    del number


@app.task(name=LINKS[1])
def _second(number: str) -> None:
    del number


@app.task(name=LINKS[2])
def _third(number: str) -> None:
    del number


@app.task(name=LINKS[3])
def _last(number: str) -> None:
    os.write(_ends(), f"{number} {time.time():.6f}\n".encode())


@cache
def _ends() -> int:
    return os.open(os.environ["BARE_ENDS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def configure(options: dict[str, Any]) -> None:
    """Set the options, of which the queues are told by name."""
    queues = [Queue(name, routing_key=name) for name in options["task_queues"]]
    app.conf.update(options | {"task_queues": queues})


def main() -> None:
    """Run a worker."""
    configure(json.loads(os.environ["BARE_OPTIONS"]))
    alone = ("--without-gossip", "--without-mingle")
    app.start(["--quiet", "worker", "--hostname=bare@%h", *sys.argv[2:], *alone, "--loglevel=INFO"])


if __name__ == "__main__":
    main()
