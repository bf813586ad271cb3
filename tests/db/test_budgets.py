"""RL7: budgets, exact to the cent whoever comes at once, and money that is given back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extras
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from db import budgets, limits, requests
from db.engine import Database
from db.records import NewRequest
from db.standing import Admission, Budget, Outcome, Period, Scope, Spending
from db.states import Status
from tests.db.crowds import admit_at_once, at_once, many_connections
from tests.db.rows import LEASE, admit_one, in_state, new_request, row
from tests.workers.waiting import until

MINE = UUID(int=1)
Usd = str | int | Decimal
PRICES = [Decimal(price) for price in ("3.20", "0.40", "1.60", "0.0001", "2.3999", "0.05")]
EVERYBODY = (Scope.ALL, "")


def priced(price: Usd, **changes: Any) -> NewRequest:
    return new_request(**{"cost_usd": Decimal(price), "user_id": str(uuid4()), **changes})


def allow(
    database: Database,
    limit: Usd,
    scope: Scope = Scope.ALL,
    scope_id: str = "",
    period: Period = Period.DAY,
) -> None:
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(scope, scope_id, period, Decimal(limit)))


def ask(database: Database, new: NewRequest) -> Admission:
    with database.autocommit() as conn:
        return admit_one(conn, new, limit=1000)


def number(database: Database, question: str, **values: Any) -> Any:
    with database.begin() as conn:
        return conn.execute(text(question), values).scalar_one()


def spent(database: Database, guild: str | None = None) -> Decimal:
    """Recomputed from the rows, in all or in one guild."""
    question = """
        SELECT coalesce(sum(cost_usd), 0)
        FROM video_requests
        WHERE billed AND guild_id = coalesce(:guild, guild_id)
    """
    return Decimal(number(database, question, guild=guild))


def counters(database: Database) -> dict[tuple[str, str, str], Decimal]:
    """Those of today and of this month."""
    with database.begin() as conn:
        found = conn.execute(
            text(
                """
                SELECT scope, scope_id, period, spent_usd
                FROM budget_spending
                WHERE period_start = video_period_start(period, now())
                """
            )
        )
        return {(scope, name, period): usd for scope, name, period, usd in found}


def refuse(conn: Connection, request_id: UUID) -> None:
    requests.refuse(conn, request_id, code="refused", message="No", is_counted=True)


def forget_counters(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("DELETE FROM budget_spending"))


@pytest.mark.parametrize("period", list(Period))
@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [
        (Scope.USER, "alice"),
        (Scope.USER, "*"),
        (Scope.GUILD, "guild"),
        (Scope.GUILD, "*"),
        EVERYBODY,
    ],
)
def test_rl7_a_hundred_at_once_never_pass_a_budget_and_nothing_affordable_is_refused(
    database_url: str, scope: Scope, scope_id: str, period: Period
) -> None:
    limit = Decimal("20.00")
    user = {"user_id": "alice"} if scope is Scope.USER else {}
    news = [priced(price, **user) for price in islice(cycle(PRICES), 100)]
    with many_connections(database_url, 100) as database:
        allow(database, limit, scope, scope_id, period)
        answers = admit_at_once(database, news, limit=1000)
        left = limit - spent(database)
        known = counters(database)
    assert left >= 0
    refused = [
        (new, answer) for new, answer in zip(news, answers, strict=True) if not answer.is_allowed
    ]
    assert refused
    for new, answer in refused:
        assert new.cost_usd
        assert new.cost_usd > left
        assert isinstance(answer.refused_by, Spending)
        assert (answer.refused_by.scope, answer.refused_by.period) == (scope, period)
        # The figures of the refusal are its reason.
        assert answer.refused_by.remaining_usd < new.cost_usd
        assert answer.refused_by.limit_usd == limit
    if scope is not Scope.USER:
        assert list(known.values()) == [limit - left]


def test_rl7_guilds_and_all_and_every_period_at_once_without_a_deadlock(database_url: str) -> None:
    of_guild, of_all = Decimal(6), Decimal(25)
    with many_connections(database_url, 100) as database:
        for period in Period:
            allow(database, of_guild, Scope.GUILD, "*", period)
            allow(database, of_all, period=period)
        for _ in range(3):
            # The first of a period make the counters, in whatever order they come.
            forget_counters(database)
            with database.begin() as conn:
                conn.execute(text("TRUNCATE video_requests CASCADE"))
            news = [
                priced(price, guild_id=f"guild {turn % 7}")
                for turn, price in enumerate(islice(cycle(PRICES), 100))
            ]
            answers = admit_at_once(database, news)
            left = {f"guild {n}": of_guild - spent(database, f"guild {n}") for n in range(7)}
            left_of_all = of_all - spent(database)
            assert left_of_all >= 0
            assert min(left.values()) >= 0
            for new, answer in zip(news, answers, strict=True):
                if not answer.is_allowed:
                    assert new.cost_usd
                    assert isinstance(answer.refused_by, Spending)
                    is_all = answer.refused_by.scope is Scope.ALL
                    assert new.cost_usd > (left_of_all if is_all else left[new.guild_id])
            for (scope, name, _), usd in counters(database).items():
                assert usd == (of_guild - left[name] if scope == "guild" else of_all - left_of_all)


def test_rl7_a_refusal_writes_nothing_and_is_a_warning(database: Database) -> None:
    allow(database, 5, Scope.GUILD, "guild")
    allow(database, 3)
    assert ask(database, priced("1.60")).is_allowed
    before = counters(database)
    new = priced("1.60")
    with capture_logs() as logs:
        answer = ask(database, new)
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(1)
    assert answer.outcome is Outcome.REFUSED
    assert answer.refused_by == Spending(
        Scope.ALL, Period.DAY, Decimal("1.6000"), Decimal("3.0000"), tomorrow
    )
    # How the user stands in the rolling 24 hours is told all the same.
    assert answer.limit
    assert (answer.limit.used, answer.limit.remaining) == (0, 1000)
    assert counters(database) == before
    assert number(database, "SELECT count(*) FROM video_requests") == 1
    assert number(database, "SELECT count(*) FROM video_events") == 1
    assert [(log["event"], log["log_level"], log["budget"]) for log in logs] == [
        ("budget_reached", "warning", "all day")
    ]


def test_rl7_who_loses_the_race_for_the_last_money_leaves_nothing(
    database_url: str, outsider: psycopg2.extensions.connection
) -> None:
    """The counter is held by another, who takes what is left, while an admission waits for it."""
    with many_connections(database_url, 2) as database, outsider.cursor() as cursor:
        allow(database, 9, Scope.GUILD, "guild")
        allow(database, 3)
        assert ask(database, priced("1")).is_allowed
        cursor.execute("UPDATE budget_spending SET spent_usd = 3 WHERE scope = 'all'")

        def go_on_when_another_waits(conn: Connection) -> Admission | None:
            waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'")
            while not conn.execute(waits).scalar_one():
                pass
            outsider.commit()
            return None

        answer, _ = at_once(
            database,
            [lambda conn: admit_one(conn, priced("1")), go_on_when_another_waits],
        )
        assert answer
        assert isinstance(answer.refused_by, Spending)
        assert (answer.refused_by.scope, answer.refused_by.spent_usd) == (Scope.ALL, Decimal(3))
        assert counters(database)["guild", "guild", "day"] == 1
        assert number(database, "SELECT count(*) FROM video_requests") == 1
        assert number(database, "SELECT count(*) FROM video_events") == 1


def test_rl7_what_costs_nothing_passes_no_budget(database: Database) -> None:
    allow(database, 0)
    for free in (priced(0), new_request(user_id="bob")):
        assert ask(database, free).is_allowed
    assert not ask(database, priced("0.0001")).is_allowed


def test_rl7_to_the_last_cent(database: Database) -> None:
    allow(database, "9.60", Scope.GUILD, "guild", Period.MONTH)
    for _ in range(3):
        assert ask(database, priced("3.20")).is_allowed
    assert not ask(database, priced("0.0001")).is_allowed
    assert ask(database, priced("3.20", guild_id="another")).is_allowed


def test_rl7_a_budget_of_ones_own_goes_before_the_one_for_each(database: Database) -> None:
    allow(database, 1, Scope.GUILD, "*")
    allow(database, 3, Scope.GUILD, "rich")
    allow(database, 1, Scope.USER, "*")
    allow(database, 3, Scope.USER, "alice")
    assert not ask(database, priced(2, guild_id="poor", user_id="alice")).is_allowed
    assert not ask(database, priced(2, guild_id="rich", user_id="bob")).is_allowed
    assert ask(database, priced(2, guild_id="rich", user_id="alice")).is_allowed
    # Of the other period, the one for each holds.
    allow(database, 2, Scope.GUILD, "*", Period.MONTH)
    refused_by = ask(database, priced(1, guild_id="rich", user_id="bob")).refused_by
    assert isinstance(refused_by, Spending)
    assert (refused_by.period, refused_by.spent_usd) == (Period.MONTH, Decimal(2))


def test_rt6_a_known_id_is_answered_before_any_budget(database: Database) -> None:
    new = priced(1)
    assert ask(database, new).outcome is Outcome.ADMITTED
    allow(database, 0)
    allow(database, 0, Scope.USER, "*")
    assert ask(database, new) == Admission(Outcome.EXISTS, None)
    assert not ask(database, priced(1)).is_allowed


def test_rt6_the_same_id_at_once_is_paid_for_once(database_url: str) -> None:
    with many_connections(database_url, 20) as database:
        allow(database, 100)
        request_id = uuid4()
        answers = admit_at_once(database, [priced(1, id=request_id) for _ in range(20)])
        assert sum(answer.outcome is Outcome.ADMITTED for answer in answers) == 1
        assert all(answer.is_allowed for answer in answers)
        assert counters(database) == {("all", "", "day"): 1}


def test_rl7_what_was_spent_before_a_budget_counts(database: Database) -> None:
    ask(database, priced(2))
    allow(database, 3)
    assert counters(database) == {}
    assert not ask(database, priced(2)).is_allowed
    assert ask(database, priced(1)).is_allowed
    assert counters(database) == {("all", "", "day"): 3}


def test_rl7_between_two_budgets_nothing_is_forgotten(database: Database) -> None:
    allow(database, 3)
    ask(database, priced(1))
    with database.begin() as conn:
        assert budgets.remove(conn, Scope.ALL, "", Period.DAY)
        assert not budgets.remove(conn, Scope.ALL, "", Period.DAY)
    assert ask(database, priced(5)).is_allowed
    allow(database, 7)
    assert not ask(database, priced("1.01")).is_allowed
    assert ask(database, priced(1)).is_allowed


def test_rl7_setting_a_budget_waits_for_the_admissions_under_way(
    database: Database, outsider: psycopg2.extensions.connection
) -> None:
    with outsider.cursor() as cursor:
        # It has found no budget, and is not over yet.
        cursor.execute(
            "CALL admit_in_turn("
            "jsonb_populate_record(NULL::video_requests, %s), 5, 100, '1 min', NULL)",
            (psycopg2.extras.Json(priced(2).as_row()),),
        )
        with database.begin() as conn:
            conn.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                budgets.set_limit(conn, Budget(*EVERYBODY, Period.DAY, Decimal(3)))
    outsider.commit()
    allow(database, 3)
    assert not ask(database, priced("1.01")).is_allowed


@pytest.mark.parametrize("is_there", [False, True] * 3)
def test_rl7_a_budget_that_is_set_among_admissions_is_exact(
    database_url: str, is_there: bool
) -> None:
    limit = Decimal(12)
    with many_connections(database_url, 61) as database:
        if is_there:
            allow(database, 1000)

        def admission(price: Decimal) -> Callable[[Connection], object]:
            return lambda conn: admit_one(conn, priced(price))

        def setting(_conn: Connection) -> None:
            allow(database, limit)

        deeds = [admission(price) for price in islice(cycle(PRICES), 60)]
        at_once(database, [*deeds[:30], setting, *deeds[30:]])
        before = spent(database)
        assert ask(database, priced("0.0001")).is_allowed is (before + Decimal("0.0001") <= limit)
        while ask(database, priced("0.05")).is_allowed:
            pass
        after = spent(database)
        # What was taken on before the budget was there may be more than it.
        assert after <= max(limit, before)
        assert limit - after < Decimal("0.05")
        assert set(counters(database).values()) <= {after}


@pytest.mark.parametrize("counter", ["known", "unknown"])
def test_rl7_what_is_refused_at_its_start_gives_its_money_back(
    database: Database, counter: str
) -> None:
    allow(database, 3)
    allow(database, 3, Scope.GUILD, "guild", Period.MONTH)
    allow(database, 3, Scope.USER, "alice")
    new = priced("2.50", user_id="alice")
    ask(database, new)
    if counter == "unknown":
        forget_counters(database)
    with database.begin() as conn:
        requests.refuse(conn, new.id, code="refused", message="No")
    refused = row(database, new.id)
    assert (refused.status, refused.billed, refused.counted) == (Status.FAILED, False, True)
    assert {*counters(database).values()} == {0}
    assert ask(database, priced(3, user_id="alice")).is_allowed
    assert not ask(database, priced("0.01", user_id="alice")).is_allowed


def test_rl7_who_gets_money_back_first_has_the_rest_counted(database: Database) -> None:
    back, kept = priced(3), priced(5)
    for new in (back, kept):
        assert ask(database, new).is_allowed
    # There is no counter yet, and the first who needs one is not an admission.
    allow(database, 6)
    with database.begin() as conn:
        refuse(conn, back.id)
    assert counters(database) == {("all", "", "day"): 5}
    assert not ask(database, priced("1.01")).is_allowed
    assert ask(database, priced(1)).is_allowed


def test_rl7_setting_a_budget_waits_for_money_that_is_being_given_back(database: Database) -> None:
    new = priced(3)
    assert ask(database, new).is_allowed
    with database.begin() as giving:
        refuse(giving, new.id)
        with database.begin() as conn:
            conn.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                budgets.set_limit(conn, Budget(*EVERYBODY, Period.DAY, Decimal(3)))
    allow(database, 3)
    assert ask(database, priced(3)).is_allowed


def test_rl7_an_end_that_is_rolled_back_gives_nothing_back(database: Database) -> None:
    allow(database, 3)
    new = priced(2)
    ask(database, new)
    with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
        requests.refuse(conn, new.id, code="refused", message="No")
        _ = 1 / 0
    assert counters(database) == {("all", "", "day"): 2}
    # And nothing is given back twice.
    for _ in range(2):
        with database.begin() as conn:
            requests.refuse(conn, new.id, code="refused", message="No")
    assert counters(database) == {("all", "", "day"): 0}


@pytest.mark.parametrize("is_billed", [True, False])
@pytest.mark.parametrize("is_counted", [True, False])
def test_rl7_what_failed_and_was_not_billed_gives_its_money_back(
    database: Database, is_billed: bool, is_counted: bool
) -> None:
    allow(database, 10)
    request_id = in_state(database, Status.GENERATING, claim=MINE, cost_usd=Decimal(2))
    # In autocommit too: the row and the counter change in one statement.
    with database.autocommit() as conn:
        failed = requests.fail(
            conn,
            request_id,
            code="filtered",
            message="No",
            is_billed=is_billed,
            is_counted=is_counted,
        )
        used = limits.get_rate_limit_info(conn, "alice", 5).used
    assert (failed.billed, failed.counted) == (is_billed, is_counted)
    assert used == is_counted
    assert counters(database) == {("all", "", "day"): 2 if is_billed else 0}


def test_rl7_a_search_that_is_given_up_gives_its_money_back(database: Database) -> None:
    allow(database, 10)
    request_id = in_state(database, Status.PENDING, claim=MINE, cost_usd=Decimal(2))
    with database.begin() as conn:
        assert not requests.give_up_search(conn, request_id, message="Nothing").billed
    assert counters(database) == {("all", "", "day"): 0}


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.TIMEOUT])
def test_rl7_every_other_end_keeps_its_money(database: Database, status: Status) -> None:
    allow(database, 10)
    request_id = in_state(database, status, claim=MINE, cost_usd=Decimal(2))
    assert row(database, request_id).billed
    assert counters(database) == {("all", "", "day"): 2}


@pytest.mark.parametrize("counter", ["known", "unknown"])
def test_rl7_money_given_back_among_admissions_is_exact(database_url: str, counter: str) -> None:
    with many_connections(database_url, 80) as database:
        for period in Period:
            allow(database, 1000, Scope.GUILD, "*", period)
            allow(database, 1000, period=period)
        for _ in range(4):
            guilds = cycle([f"guild {n}" for n in range(5)])
            news = [priced(price, guild_id=next(guilds)) for price in islice(cycle(PRICES), 40)]
            admit_at_once(database, news)
            if counter == "unknown":
                forget_counters(database)

            def giving(new: NewRequest) -> Callable[[Connection], object]:
                def give(_conn: Connection) -> None:
                    with database.begin() as conn:
                        refuse(conn, new.id)

                return give

            def asking(price: Decimal, guild: str) -> Callable[[Connection], object]:
                return lambda conn: admit_one(conn, priced(price, guild_id=guild))

            mixed: list[Callable[[Connection], object]] = []
            for new, price in zip(news[:20], cycle(PRICES), strict=False):
                mixed += [giving(new), asking(price, new.guild_id)]
            at_once(database, mixed)
            for (scope, name, _), usd in counters(database).items():
                assert usd == spent(database, name if scope == "guild" else None)
            assert len(counters(database)) == 12


def test_rl7_money_of_an_earlier_month_goes_back_there(database: Database) -> None:
    for period in Period:
        allow(database, 10, period=period)
    new = priced(2)
    ask(database, new)
    ask(database, priced(1))
    with database.begin() as conn:
        conn.execute(
            text(
                "UPDATE video_requests SET created_at = now() - interval '40 days' WHERE id = :id"
            ),
            {"id": new.id},
        )
    forget_counters(database)
    ask(database, priced(1))
    with database.begin() as conn:
        requests.refuse(conn, new.id, code="refused", message="No")
    assert counters(database) == {("all", "", "day"): 2, ("all", "", "month"): 2}
    past = (
        "SELECT max(spent_usd) FROM budget_spending WHERE period_start < now() - interval '39 days'"
    )
    assert number(database, past) == 0


def test_rl7_an_admission_reads_no_counters_but_its_own(database_url: str) -> None:
    """Of a table that nobody has analysed since the period began."""
    with many_connections(database_url, 1) as database:
        allow(database, 1000)
        allow(database, 1000, Scope.GUILD, "*")
        with database.begin() as conn:
            conn.execute(
                text(
                    """
                    INSERT INTO budget_spending
                    SELECT 'guild', 'guild ' || n, 'day', video_period_start('day', now()), 1
                    FROM generate_series(1, 1000) AS n
                    """
                )
            )
        for _ in range(2):
            ask(database, priced(1, guild_id="guild 1"))
    # Postgres tells it a while after the connection was closed: two counters, twice.
    told = """
        SELECT idx_tup_fetch + seq_tup_read
        FROM pg_stat_user_tables
        WHERE relname = 'budget_spending' AND n_tup_upd = 4
    """
    with many_connections(database_url, 1) as database, database.autocommit() as conn:
        read = until(lambda: conn.execute(text(told)).scalar(), what="it is told")
    assert read is not None
    assert read <= 10


def test_re1_a_remnant_counts_like_its_request(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("INSERT INTO request_remnants VALUES ('alice', 'guild', now(), 2)"))
    for scope, scope_id in ((Scope.USER, "alice"), (Scope.GUILD, "guild"), EVERYBODY):
        allow(database, 3, scope, scope_id)
        refused_by = ask(database, priced("1.01", user_id="alice")).refused_by
        assert isinstance(refused_by, Spending)
        assert (refused_by.scope, refused_by.spent_usd) == (scope, Decimal(2))
        with database.begin() as conn:
            budgets.remove(conn, scope, scope_id, Period.DAY)


def test_rl7_every_budget_with_what_is_spent_of_it(database: Database) -> None:
    ask(database, priced(2, user_id="alice"))
    wanted = [
        (Budget(Scope.USER, "*", Period.DAY, Decimal(1)), None),
        (Budget(Scope.USER, "alice", Period.DAY, Decimal(4)), Decimal(2)),
        (Budget(Scope.GUILD, "another", Period.DAY, Decimal(4)), Decimal(0)),
        (Budget(Scope.GUILD, "guild", Period.DAY, Decimal(4)), Decimal(2)),
        (Budget(Scope.GUILD, "guild", Period.MONTH, Decimal(4)), Decimal(2)),
        (Budget(Scope.ALL, "", Period.MONTH, Decimal(4)), Decimal(2)),
    ]
    for budget, _ in wanted:
        allow(database, budget.limit_usd, budget.scope, budget.scope_id, budget.period)
    with database.begin() as conn:
        assert budgets.of_all(conn) == wanted
    # The same by the counter as by the sum.
    ask(database, priced("0.50", user_id="alice"))
    with database.begin() as conn:
        assert [usd for _, usd in budgets.of_all(conn)] == [
            None,
            Decimal("2.5"),
            0,
            *[Decimal("2.5")] * 3,
        ]


def test_rl7_the_standing_tells_what_admission_would_say(database: Database) -> None:
    allow(database, 5, Scope.GUILD, "guild")
    allow(database, 4, Scope.USER, "*", Period.MONTH)
    ask(database, priced(2, user_id="alice"))
    with database.begin() as conn:
        standing = limits.get_standing(conn, "alice", "guild", daily_limit=5, monthly_quota=9)
    assert [(each.scope, each.spent_usd, each.remaining_usd) for each in standing.budgets] == [
        (Scope.USER, Decimal(2), Decimal(2)),
        (Scope.GUILD, Decimal(2), Decimal(3)),
    ]
    assert standing.refusing(Decimal(2)) is None
    refused_by = ask(database, priced("2.01", user_id="alice")).refused_by
    assert standing.refusing(Decimal("2.01")) == standing.budgets[0] == refused_by
    assert number(database, "SELECT count(*) FROM video_requests") == 1


def test_the_lease_is_as_long_as_was_asked(database: Database) -> None:
    allow(database, 5)
    new = priced(1)
    ask(database, new)
    request = row(database, new.id)
    assert request.due_at == request.created_at + LEASE
