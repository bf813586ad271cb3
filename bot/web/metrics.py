"""``/metrics`` for Prometheus: figures of this moment, from Postgres and Redis.

They are gauges, also where they count, for the rows are what counts, and they stay when this
process does not. Where several web processes run, all show the same.
"""

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import SecretStr

from bot.web.asking import Shared
from db import gauges
from db.errors import DatabaseError
from db.probe import Probe
from workers import broker
from workers.broker import Depth
from workers.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

DATABASE_WITHIN: Final = timedelta(milliseconds=700)
BROKER_PATIENCE: Final = 0.25
"""Seconds, to connect and for each answer."""
WITHIN: Final = 0.8
"""Seconds after which a scrape goes without what has not come."""
FRESH: Final = 1.0
"""Seconds for which figures stand, so that many scrapers cost no more than one."""
LOOPBACK: Final = ("127.0.0.1", "::1")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """What Postgres tells."""

    open: gauges.Open
    recent: gauges.Recent
    latencies: gauges.Latencies


class Exposition(Collector):
    """The figures of one scrape in Prometheus' terms; None where they could not be had."""

    def __init__(self, figures: Figures | None, depth: Depth | None) -> None:
        self._figures = figures
        self._depth = depth

    def collect(self) -> Iterable[Metric]:
        """Every metric."""
        yield _gauge("database_up", "1 if Postgres told its figures in time", self._figures)
        if self._figures is not None:
            yield from _of_open(self._figures.open)
            yield from _of_recent(self._figures.recent)
            yield from _of_latencies(self._figures.latencies)
        yield _gauge("broker_up", "1 if Redis told its figures in time", self._depth)
        if self._depth is not None:
            yield from _of_depth(self._depth)


def router(database: Probe, token: SecretStr) -> APIRouter:
    """The one page. Without a token it is shown to this machine only."""

    def ask_database() -> Figures | None:
        try:
            with database.connect(DATABASE_WITHIN) as conn:
                return Figures(
                    gauges.of_open(conn), gauges.of_recent(conn), gauges.of_latencies(conn)
                )
        except DatabaseError as error:
            log.warning("metrics_incomplete", source="database", reason=str(error))
            return None

    def ask_broker() -> Depth | None:
        try:
            return broker.depth(patience=BROKER_PATIENCE)
        except BrokerUnavailable as error:
            log.warning("metrics_incomplete", source="broker", reason=str(error))
            return None

    from_database = Shared(ask_database, fresh=FRESH)
    from_broker = Shared(ask_broker, fresh=FRESH)
    routes = APIRouter()

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        if refusal := _refusal(request, token.get_secret_value()):
            return refusal
        figures, depth = await asyncio.gather(_in_time(from_database), _in_time(from_broker))
        registry = CollectorRegistry()
        registry.register(Exposition(figures, depth))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return routes


async def _in_time(shared: Shared[T | None]) -> T | None:
    try:
        return await shared.answer(WITHIN)
    except TimeoutError:
        return None


def _refusal(request: Request, token: str) -> Response | None:
    """What somebody is told who may not see it; None for whoever may."""
    if token:
        given = request.headers.get("authorization", "")
        if secrets.compare_digest(given.encode("latin-1"), f"Bearer {token}".encode()):
            return None
        return JSONResponse({"status": "unauthorized"}, 401, {"www-authenticate": "Bearer"})
    is_from_here = request.client is not None and request.client.host in LOOPBACK
    # A proxy on this machine brings others' requests, and a browser on it those of any page whose
    # name somebody has pointed at this machine.
    is_passed_on = any(name in request.headers for name in ("forwarded", "x-forwarded-for"))
    is_meant_for_here = request.url.hostname in (*LOOPBACK, "localhost")
    if is_from_here and is_meant_for_here and not is_passed_on:
        return None
    return JSONResponse({"status": "forbidden"}, 403)


def _of_open(found: gauges.Open) -> Iterator[Metric]:
    yield _labelled("requests_open", "Requests that have not ended", "status", found.by_status)
    yield _gauge(
        "requests_in_flight", "Requests whose paid call was or may have been made", found.in_flight
    )
    yield _gauge(
        "requests_overdue", "Requests due for over 10 s that nobody took up", found.overdue
    )
    yield _gauge(
        "oldest_pending_seconds", "Age of the oldest pending request", found.oldest_pending
    )
    yield _gauge(
        "longest_overdue_seconds", "How long the longest overdue is due", found.longest_overdue
    )


def _of_recent(found: gauges.Recent) -> Iterator[Metric]:
    for window, by_status in (("hour", found.of_last_hour), ("day", found.of_last_day)):
        text = f"Requests asked for in the last {window}, by what became of them"
        yield _labelled(f"requests_last_{window}", text, "status", by_status)
    yield _gauge(
        "spent_usd_last_day",
        "Dollars that the last day's requests cost, what was given back left out",
        float(found.spent_usd),
    )
    yield _gauge(
        "rescues_last_day",
        "Times that the last day's requests were taken up again after an attempt to no end",
        found.rescues,
    )
    deliveries = {"delivered": found.delivered, "waiting": found.undelivered}
    yield _labelled(
        "deliveries_last_day", "Deliveries of the last day's requests", "state", deliveries
    )
    yield _gauge(
        "delivery_attempts_last_day",
        "Attempts to deliver the last day's requests",
        found.delivery_attempts,
    )


def _of_latencies(found: gauges.Latencies) -> Iterator[Metric]:
    text = "Of the last hour's requests, from creation to start"
    yield _labelled("queueing_seconds_last_hour", text, "quantile", found.queueing)
    text = "Of the last hour's completed requests, from start to end"
    yield _labelled("duration_seconds_last_hour", text, "quantile", found.duration)


def _of_depth(found: Depth) -> Iterator[Metric]:
    text = "Messages that no worker has taken yet"
    yield _labelled("queue_messages", text, "queue", found.waiting)
    yield _gauge("messages_held", "Messages taken and not acknowledged", found.held)


def _gauge(name: str, text: str, value: object) -> Metric:
    """One figure; of what is no number, whether it is there."""
    number = value if isinstance(value, int | float) else value is not None
    return GaugeMetricFamily(f"video_bot_{name}", text, value=float(number))


def _labelled(name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"video_bot_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
