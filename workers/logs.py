"""One format for every line a process logs, our own or a library's (LG1), and no secret (LG2)."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final

import structlog

from workers.settings import LogSettings

#: What every secret of a kind has in it, how to find it, and what is shown instead. Most of what is
#: logged has none of the first, and looking for the second takes as long as all the rest of a line.
_SECRETS: Final = (
    # Passwords in addresses.
    ("://", re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), r"\1:***@"),
    # Interaction tokens and webhooks.
    ("/", re.compile(r"(/(?:webhooks|interactions)/\d+)/[\w.-]+"), r"\1/***"),
    # What makes a signed address work.
    (
        "=",
        re.compile(r"(?i)((?:x-goog-|x-amz-)?(?:signature|credential|token|password)=)[^&\s'\"]+"),
        r"\1***",
    ),
    (" ", re.compile(r"(?i)\b((?:bearer|basic|bot)\s+)[\w.+/=-]{16,}"), r"\1***"),
    # Celery prints whole messages, headers and all, that it cannot make sense of.
    (
        "message",
        re.compile(r"(?s)(full contents of the message|Can't decode message body).*"),
        r"\1 ***",
    ),
)

# Once a second from every worker and from beat: nothing to tell an operator.
_HOUSEKEEPING: Final = re.compile(r"^(Task|Discarding revoked task:|Scheduler: Sending).*\bsweep\b")


def redact(line: str) -> str:
    """`line` without anything that would let its reader in somewhere."""
    for sign, secret, replacement in _SECRETS:
        if sign in line:
            line = secret.sub(replacement, line)
    return line


def configure(settings: LogSettings, *, level: str | None = None) -> None:
    """Set up the root logger and structlog for this process, on stderr.

    `level` is for commands whose lines are read by the one who typed them: no JSON, unless
    LOG_FORMAT asks for it.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and level is None and not sys.stderr.isatty()
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The prettier one shows local variables, prompts among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    # A trace back becomes text first, so that what it quotes is redacted too.
    last: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        _redact_event,
        renderer,
    ]
    handler = logging.StreamHandler()
    handler.addFilter(_is_worth_telling)
    handler.addFilter(_in_one_line)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    # Facts about who logs, gathered for every line and shown in none: a quarter of a line's time.
    logging._srcfile = None  # noqa: SLF001 -- the switch that Python's logging HOWTO names
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((level or settings.log_level).upper())
    # The pool's own passes nothing on to root; of a child that dies it would tell in bare text.
    pool = logging.getLogger("multiprocessing")
    pool.handlers[:] = [handler]
    pool.setLevel(max(root.level, logging.WARNING))
    for library in ("celery", "kombu", "amqp"):
        # Below that they print whole messages, headers and all.
        logging.getLogger(library).setLevel(max(root.level, logging.INFO))
    for library in ("google", "httpcore", "httpx", "urllib3"):
        # A line for every call, and below that headers and bodies, tokens and prompts in them.
        logging.getLogger(library).setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _is_worth_telling(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or not (
        record.name.startswith("celery.") and _HOUSEKEEPING.match(record.getMessage())
    )


def _in_one_line(record: logging.LogRecord) -> bool:
    """Beat tells with two trace backs, every second, that Redis is away."""
    if record.name == "celery.beat" and str(record.msg).startswith("Message Error"):
        reason, *_ = record.args if isinstance(record.args, tuple) else ("",)
        record.msg, record.args = "Message Error: %s", (reason,)
        record.exc_info = None
    return True


def _redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    """`value` as the log shows it; what is no plain value is shown by its words."""
    match value:
        case str():
            return redact(str(value))
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {key: _redacted(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_redacted(inner) for inner in value]
        case datetime():
            return value.isoformat()
        case _:
            return redact(str(value))
