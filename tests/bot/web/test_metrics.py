"""``/metrics``: true figures, cheap to ask for, for those who may see them, whatever is down."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.web import metrics
from db.engine import Database
from db.processes import free_port
from db.settings import DatabaseSettings
from db.states import Status
from tests.bot.running import frozen, started, until
from tests.bot.web.client import Answer, ask, get
from tests.bot.web.conftest import Site
from tests.db.rows import admitted, in_state, make_due
from tests.workers.broker import Broker
from workers import chain

ABOUT_A_SECOND = 1.5
TOKEN = "a-token-for-prometheus"


def samples(answer: Answer) -> dict[str, float]:
    """Every figure by its name and label."""
    assert answer.status == 200
    return {
        f"{sample.name}{'/'.join(['', *sample.labels.values()])}".removeprefix("video_bot_"): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
    }


def wait_for(site: Site, **expected: float) -> dict[str, float]:
    """The figures, once these are among them: those of a moment ago may still stand."""

    def look() -> dict[str, float] | None:
        found = samples(site.get("/metrics"))
        return found if expected.items() <= found.items() else None

    return until(look, f"/metrics showing {expected}")


@contextmanager
def database_of(site: Site) -> Iterator[Database]:
    settings = DatabaseSettings.model_validate({"database_url": site.database_url})
    with closing(Database(settings)) as database:
        yield database


def test_the_figures_are_what_is_in_postgres_and_on_the_broker(site: Site) -> None:
    with database_of(site) as database, closing(Broker(site.redis_url)) as broker:
        for status in Status:
            in_state(database, status, claim=uuid4(), cost_usd=Decimal("1.25"))
        due = admitted(database, cost_usd=Decimal("0.5"))
        make_due(database, due)
        with broker.in_use():
            chain.poll_together([due], expires_at=datetime.now(UTC) + timedelta(hours=1))
        found = wait_for(site, **{"requests_open/pending": 2})
    assert found["requests_open/generating"] == 1
    # One is claimed, one generates.
    assert found["requests_in_flight"] == 2
    assert found["requests_overdue"] == 1
    assert 0 < found["oldest_pending_seconds"] < 60
    assert 3500 < found["longest_overdue_seconds"] < 3700
    for status in Status:
        for window in ("hour", "day"):
            wanted = 2 if status is Status.PENDING else 1
            assert found[f"requests_last_{window}/{status}"] == wanted
    assert found["spent_usd_last_day"] == 5 * 1.25 + 0.5
    assert found["rescues_last_day"] == 0
    assert found["deliveries_last_day/waiting"] == 0
    for quantile in (0.5, 0.95, 0.99):
        assert 0 <= found[f"duration_seconds_last_hour/{quantile}"] < 60
        assert 0 < found[f"queueing_seconds_last_hour/{quantile}"] < 60
    assert found["queue_messages/following"] == 1
    assert found["queue_messages/starting"] == found["messages_held"] == 0
    assert (found["database_up"], found["broker_up"]) == (1, 1)


def test_without_postgres_it_tells_the_rest_in_time(site: Site) -> None:
    wait_for(site, database_up=1, broker_up=1)
    with frozen(site.postgres):
        found = wait_for(site, database_up=0, broker_up=1)
        assert "queue_messages/starting" in found
        # Nothing is told that is not known.
        assert not [name for name in found if name.startswith(("requests_", "spent_"))]
        answers = asyncio.run(scrapes(site, 20))
        assert {answer.status for answer in answers} == {200}
        assert max(answer.seconds for answer in answers) < ABOUT_A_SECOND
    wait_for(site, database_up=1)


def test_without_redis_it_tells_the_rest_in_time(site: Site) -> None:
    wait_for(site, database_up=1, broker_up=1)
    with frozen(site.redis):
        found = wait_for(site, broker_up=0, database_up=1)
        assert "requests_open/pending" in found
        assert "queue_messages/starting" not in found
    wait_for(site, broker_up=1)


async def scrapes(site: Site, number: int) -> list[Answer]:
    return list(await asyncio.gather(*(ask(site.port, "/metrics") for _ in range(number))))


def test_many_scrapers_cost_no_more_than_one(site: Site) -> None:
    def connections() -> int:
        with closing(psycopg2.connect(site.database_url)) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
            )
            return int(cursor.fetchall()[0][0])

    before = connections()
    begin = time.monotonic()
    for _ in range(3):
        asyncio.run(scrapes(site, 50))
    # Ours, and the process's: one, and one more for every second.
    assert connections() - before <= 2 + (time.monotonic() - begin) / metrics.FRESH


def test_a_scraper_may_choose_the_format(site: Site) -> None:
    answer = site.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith("# EOF\n")


def test_nobody_elses_request_is_answered_without_a_token(site: Site) -> None:
    assert site.get("/metrics").status == 200
    for header, value in (
        ("X_Forwarded_For", "203.0.113.7"),
        ("Forwarded", "for=203.0.113.7"),
        ("Host", "rebound.example:8080"),
    ):
        answer = site.get("/metrics", **{header: value})
        assert (answer.status, answer.json) == (403, {"status": "forbidden"})


@pytest.fixture(scope="module")
def closed(site: Site) -> Iterator[int]:
    """The port of a process that asks for a token."""
    port = free_port()
    env = {
        "DATABASE_URL": site.database_url,
        "REDIS_URL": site.redis_url,
        "METRICS_TOKEN": TOKEN,
        "PORT": str(port),
    }
    with started("web", env=env) as running:
        running.wait_for("Started server process")
        yield port
        assert TOKEN not in running.output


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        TOKEN,
        "Bearer é",
        "bearer",
    ],
)
def test_whoever_lacks_the_token_sees_nothing(closed: int, given: str) -> None:
    answer = get(closed, "/metrics", **({"Authorization": given} if given else {}))
    assert (answer.status, answer.json) == (401, {"status": "unauthorized"})
    assert answer.headers["www-authenticate"] == "Bearer"


def test_whoever_has_the_token_sees_all_from_anywhere(closed: int) -> None:
    def is_seen() -> bool:
        given = {"Authorization": f"Bearer {TOKEN}", "X_Forwarded_For": "203.0.113.7"}
        return samples(get(closed, "/metrics", **given))["database_up"] == 1

    until(is_seen, "the figures")
    # Health is everybody's.
    until(lambda: get(closed, "/health/ready").status == 200, "it is ready")
