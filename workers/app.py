"""The Celery application ``workers.app:app``, with delivery settings that survive a kill.

Tasks are acknowledged when they have run, and given back when their process dies. A message
whose worker dies whole comes back after the visibility timeout, which is also what bounds every
task. Nobody waits for results, so there is no result backend; Redis is the broker and no more.
"""

import warnings
from datetime import UTC, datetime
from typing import Any, Final

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from kombu import Queue

from db.settings import read
from workers import task_events, transport
from workers.schedule import schedule
from workers.settings import WorkerSettings

VISIBILITY_TIMEOUT: Final = 120
"""Seconds until the message of a worker that died is given to another."""
TASK_TIME_LIMIT: Final = 60
"""Seconds after which a task is killed and its message given back."""

#: Starting, following, delivering and housekeeping wait in lines of their own, so that a backlog
#: of new requests holds up none that is under way, and a slow Discord no poll.
STARTING: Final = "starting"
#: For starts whose turn it is, and which lapses: new requests before them would take too long.
CALLING: Final = "calling"
FOLLOWING: Final = "following"
#: What is made is not to be asked about again because it waited too long behind other questions.
ENDING: Final = "ending"
DELIVERING: Final = "delivering"
HOUSEKEEPING: Final = "housekeeping"

SENT_AT: Final = "video_sent_at"
"""The header that tells when a message was sent: links, retries and rescues each anew."""

# Celery warns root of itself; whoever runs this as root, in a container say, knows.
warnings.simplefilter("ignore", SecurityWarning)

transport.use()

app = Celery(
    "workers",
    include=["workers.tasks", "workers.delivery_tasks", "workers.process"],
    events=task_events.Told,
)
app.steps["consumer"].add(task_events.Together)


@app.on_configure.connect
def _configure(sender: Celery, **_: Any) -> None:
    settings = read(WorkerSettings)
    sender.conf.update(
        broker_url=settings.redis_url.get_secret_value(),
        beat_schedule=schedule(settings),
    )


app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT,
        # By default the messages of a dead worker are looked for only every so often, which
        # makes them up to 90 s later than the visibility timeout.
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        # Whoever looks for them has a lock, and may die with it: by default nobody else could
        # look for 5 minutes. In seconds; that two look at once does no harm.
        "unacked_mutex_expire": 10,
        "queue_order_strategy": "workers.order:EndingsFirst",
        "socket_connect_timeout": 5,
        "socket_timeout": 10,
        "socket_keepalive": True,
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # By default a task that is killed at its time limit is acknowledged, and lost.
    task_acks_on_failure_or_timeout=False,
    task_time_limit=TASK_TIME_LIMIT,
    task_ignore_result=True,
    task_default_queue=STARTING,
    task_queues=[
        Queue(name, routing_key=name)
        for name in (STARTING, CALLING, FOLLOWING, ENDING, DELIVERING, HOUSEKEEPING)
    ],
    task_routes={
        "create_request": STARTING,
        "start_generation": STARTING,
        "poll_operation": FOLLOWING,
        "poll_operations": FOLLOWING,
        "finalize": ENDING,
        "look_for_late": FOLLOWING,
        "carry_on": FOLLOWING,
        "deliver": DELIVERING,
        "deliver_late": DELIVERING,
        "deliver_refusal": DELIVERING,
        "tell_places": DELIVERING,
        "sweep": HOUSEKEEPING,
        "cleanup": HOUSEKEEPING,
        "remove_forgotten": HOUSEKEEPING,
    },
    task_serializer="json",
    accept_content=["json"],
    task_send_sent_event=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=1,
    # SIGTERM lets the running tasks end, none of which is long. SIGQUIT, or a second Ctrl-C,
    # waits no longer than this, in seconds, and gives the rest back to the queue.
    worker_soft_shutdown_timeout=20.0,
    worker_hijack_root_logger=False,
    # A file for the schedule would be one more thing to lose; ours has no memory to keep.
    beat_scheduler="celery.beat:Scheduler",
    timezone="UTC",
)


@signals.before_task_publish.connect
def _say_when(headers: dict[str, Any], **_: Any) -> None:
    headers[SENT_AT] = datetime.now(UTC).isoformat()


@signals.setup_logging.connect
def _log_as_we_do(**_: Any) -> None:
    from workers.logs import configure  # Celery asks late, and settings may be wrong earlier
    from workers.settings import LogSettings

    configure(read(LogSettings))
