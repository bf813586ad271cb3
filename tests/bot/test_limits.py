"""``video-bot limits``, and what people are told of limits and budgets."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot import words
from bot.cli import commands
from db import budgets, quotas
from db.engine import Database
from db.standing import (
    Budget,
    MonthlyQuota,
    Period,
    RateLimit,
    Scope,
    Spending,
    Standing,
    UserQuota,
)
from tests.db.rows import admitted

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
CAN = {"PATH", "PYTHONPATH", "HOME", "LANG"}

VideoBot = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def video_bot(database_url: str) -> VideoBot:
    """Run ``video-bot`` on the test's database."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited: Mapping[str, str] = {
            name: value for name, value in os.environ.items() if name in CAN
        }
        return subprocess.run(
            [sys.executable, "-m", "bot.cli", *arguments],
            env={**inherited, "DATABASE_URL": database_url, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def spending(spent: str, limit: str, scope: Scope = Scope.GUILD, **changes: Any) -> Spending:
    fields = {"period": Period.DAY, "reset_at": MARCH, **changes}
    return Spending(scope=scope, spent_usd=Decimal(spent), limit_usd=Decimal(limit), **fields)


def standing(
    daily: tuple[int, int] = (0, 5), monthly: tuple[int, int] = (0, 100), *spent: Spending
) -> Standing:
    now = datetime.now(UTC)
    return Standing(
        RateLimit(*daily, now, now + timedelta(hours=24)), MonthlyQuota(*monthly, MARCH), spent
    )


def test_rl6_a_refusal_by_the_quota_gives_usage_and_remainder() -> None:
    assert words.refusal(MonthlyQuota(100, 100, MARCH)) == (
        "All 100 videos of this month are used; none is left. "
        "The next month begins at 2026-03-01 00:00 UTC."
    )
    assert words.refusal(MonthlyQuota(1, 1, MARCH)).startswith(
        "The one video of this month is used"
    )
    assert words.refusal(MonthlyQuota(0, 0, MARCH)) == "Your monthly quota is 0 videos."


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (
            spending("18.40", "20"),
            "This server's budget of $20.00 for today does not reach: $18.40 spent, $1.60 left, "
            "this video costs $3.20; the next day begins at 2026-03-01 00:00 UTC.",
        ),
        (
            spending("1018.40", "1020.5", Scope.ALL, period=Period.MONTH),
            "The budget of all servers together of $1,020.50 for this month does not reach: "
            "$1,018.40 spent, $2.10 left, this video costs $3.20; the next month begins at "
            "2026-03-01 00:00 UTC.",
        ),
        (
            # The budget was lowered meanwhile.
            spending("4.2001", "4", Scope.USER),
            "Your budget of $4.00 for today is used up: $4.2001 spent, $0.00 left, this video "
            "costs $3.20; the next day begins at 2026-03-01 00:00 UTC.",
        ),
        (
            # Tomorrow it will be no larger.
            spending("0", "2", Scope.USER),
            "Your budget of $2.00 for today is too small, this video costs $3.20.",
        ),
    ],
)
def test_rl7_a_refusal_by_a_budget_gives_spending_remainder_and_price(
    limit: Spending, sentence: str
) -> None:
    assert words.refusal(limit, Decimal("3.20")) == sentence


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (standing((3, 5), (79, 100), spending("15.99", "20")), []),
        (standing((4, 5)), ["4 of 5 videos of the last 24 hours are used; 1 left."]),
        (
            standing((0, 5), (80, 100)),
            ["80 of 100 videos of this month are used; 20 left."],
        ),
        (
            standing((0, 5), (100, 100)),
            ["100 of 100 videos of this month are used; none is left."],
        ),
        (
            standing((0, 5), (0, 100), spending("16", "20"), spending("4", "4", Scope.USER)),
            [
                "This server's budget of $20.00 for today is nearly used: "
                "$16.00 spent, $4.00 left.",
                "Your budget of $4.00 for today is used up: $4.00 spent, $0.00 left.",
            ],
        ),
    ],
)
def test_rl6_warnings_come_from_four_fifths_on(found: Standing, said: list[str]) -> None:
    assert words.warnings(found) == said


def test_the_first_that_refuses_is_told_of() -> None:
    full = spending("20", "20")
    everything = standing((5, 5), (100, 100), full)
    assert everything.refusing(Decimal(1)) == everything.daily
    assert standing((4, 5), (100, 100), full).refusing(Decimal(1)) == MonthlyQuota(100, 100, MARCH)
    assert standing((4, 5), (99, 100), full).refusing(Decimal(1)) == full
    assert standing((4, 5), (99, 100), full).refusing(Decimal(0)) is None


def test_show_tells_how_a_user_stands(database: Database, video_bot: VideoBot) -> None:
    with database.begin() as conn:
        quotas.set_limits(conn, "alice", monthly=2)
        budgets.set_limit(conn, Budget(Scope.GUILD, "guild", Period.DAY, Decimal(4)))
    for _ in range(2):
        admitted(database, cost_usd=Decimal("1.60"))
    shown = video_bot("limits", "show", "alice", "--guild", "guild")
    assert shown.returncode == 0, shown.stderr
    day, month, budget, *rest = shown.stdout.splitlines()
    assert day == "24 hours:  2 of 5 used, 3 left, resets in 24h 0m"
    assert month.startswith("month:     2 of 2 used, 0 left, until ")
    assert month.endswith(" UTC (set for this user)")
    assert budget == "budget:    guild, day: $3.20 of $4.00 spent, $0.80 left"
    assert rest == [
        "Warning: 2 of 2 videos of this month are used; none is left.",
        "Warning: This server's budget of $4.00 for today is nearly used: $3.20 spent, $0.80 left.",
    ]
    told = json.loads(video_bot("limits", "show", "alice", "--guild", "guild", "--json").stdout)
    assert (told["user_id"], told["guild_id"], len(told["warnings"])) == ("alice", "guild", 2)
    assert told["daily"] | {"reset_at": ""} == {
        "used": 2,
        "limit": 5,
        "remaining": 3,
        "reset_at": "",
        "is_own": False,
    }
    assert (told["monthly"]["remaining"], told["monthly"]["is_own"]) == (0, True)
    assert datetime.fromisoformat(told["daily"]["reset_at"]) > datetime.now(UTC)
    [found] = told["budgets"]
    assert (found["scope"], found["spent_usd"], found["limit_usd"]) == ("guild", "3.2000", "4.0000")
    other = json.loads(video_bot("limits", "show", "bob", "--json", MONTHLY_QUOTA="7").stdout)
    assert (other["monthly"]["limit"], other["budgets"], other["warnings"]) == (7, [], [])
    assert other["daily"]["reset_at"] is None


def test_show_says_what_is_true_where_less_is_allowed_than_was_used(
    database: Database, video_bot: VideoBot
) -> None:
    for _ in range(3):
        admitted(database)
    video_bot("limits", "set", "alice", "--daily", "0", "--monthly", "1")
    daily, monthly, warning = video_bot("limits", "show", "alice").stdout.splitlines()
    assert daily == "24 hours:  0 allowed (set for this user)"
    assert monthly.startswith("month:     1 of 1 used, 0 left, until ")
    assert warning == "Warning: 1 of 1 video of this month is used; none is left."


def test_set_and_reset(database: Database, video_bot: VideoBot) -> None:
    assert video_bot("limits", "set", "alice", "--daily", "0").stdout == (
        "alice: 0 in 24 hours, as many as everybody in a month\n"
    )
    assert video_bot("limits", "set", "alice", "--monthly", "12").stdout == (
        "alice: 0 in 24 hours, 12 in a month\n"
    )
    with database.begin() as conn:
        assert quotas.get(conn, "alice") == UserQuota("alice", 0, 12)
    reset = video_bot("limits", "reset", "alice")
    assert reset.stdout == "alice is allowed what everybody is\n"
    again = video_bot("limits", "reset", "alice")
    assert (again.returncode, again.stdout) == (
        0,
        "alice is allowed what everybody is, as before\n",
    )


def test_budgets_are_set_listed_and_removed(database: Database, video_bot: VideoBot) -> None:
    assert video_bot("limits", "budgets").stdout == "No budget is set.\n"
    assert json.loads(video_bot("limits", "budgets", "--json").stdout) == []
    for whose, amount in (
        (["--user", "alice"], "1"),
        (["--guild", "guild"], "$20.50"),
        (["--every-user"], "0.0005"),
        (["--every-guild"], "0"),
        (["--all"], "1000"),
    ):
        done = video_bot("limits", "budget", *whose, "--per", "day", amount)
        assert done.returncode == 0, done.stderr
    admitted(database, user_id="alice", cost_usd=Decimal("0.40"))
    assert video_bot("limits", "budgets").stdout.splitlines() == [
        "every user: $0.0005 a day",
        "user alice: $1.00 a day, $0.40 spent",
        "every guild: $0.00 a day",
        "guild guild: $20.50 a day, $0.40 spent",
        "all together: $1,000.00 a day, $0.40 spent",
    ]
    assert json.loads(video_bot("limits", "budgets", "--json").stdout)[-1] == {
        "scope": "all",
        "scope_id": "",
        "period": "day",
        "limit_usd": "1000.0000",
        "spent_usd": "0.4000",
    }
    removed = video_bot("limits", "budget", "--all", "--per", "day", "none")
    assert removed.stdout == "all together: no budget a day\n"
    again = video_bot("limits", "budget", "--all", "--per", "day", "none")
    assert (again.returncode, again.stdout) == (0, "all together: no budget a day, as before\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", ""], "The user must have 1 to 100 characters"),
        (["set", "alice"], "Say --daily, --monthly or both."),
        (["set", "alice", "--daily", "-1"], "--daily"),
        (["set", "alice", "--monthly", "many"], "--monthly"),
        (["set", "x" * 101, "--daily", "1"], "The user must have 1 to 100 characters"),
        (["reset", "a\x07b"], "cannot be written"),
        (["budget", "--per", "day", "3"], "Say whose budget"),
        (["budget", "--all", "--user", "alice", "--per", "day", "3"], "--all, not 2 of them."),
        (["budget", "--all", "3"], "--per"),
        (["budget", "--all", "--per", "week", "3"], "--per"),
        (["budget", "--user", "*", "--per", "day", "3"], "say --every-user"),
        (["budget", "--guild", "*", "--per", "day", "3"], "say --every-guild"),
        (["budget", "--guild", "", "--per", "day", "3"], "The guild must have 1 to 100"),
        (["budget", "--all", "--per", "day", "much"], "The amount must be dollars"),
        (["budget", "--all", "--per", "day", "NaN"], "The amount must be dollars"),
        (["budget", "--all", "--per", "day", "Infinity"], "The amount must be dollars"),
        (["budget", "--all", "--per", "day", "1e99"], "The amount must be dollars"),
        (["budget", "--all", "--per", "day", "0.00001"], "The amount must be dollars"),
        (["budget", "--all", "--per", "day", "--", "-1"], "The amount must be dollars"),
    ],
)
def test_bad_input_is_a_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["video-bot", "limits", *arguments])
    assert commands.run() == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""


def test_submit_is_refused_by_quota_and_budget_with_status_3(
    database: Database, video_bot: VideoBot
) -> None:
    # There is no broker: it would be asked after the limits.
    broker = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with database.begin() as conn:
        quotas.set_limits(conn, "bob", monthly=0)
        budgets.set_limit(conn, Budget(Scope.GUILD, "guild", Period.DAY, Decimal(2)))
    refused = video_bot("submit", "a red kite over a park", "--user", "bob", **broker)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "Your monthly quota is 0 videos." in refused.stderr
    dear = ("submit", "a red kite over a park", "--guild", "guild")
    refused = video_bot(*dear, **broker, SANDBOX_PRICE_PER_SECOND="0.51")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "This server's budget of $2.00 for today " in refused.stderr
    assert "this video costs $2.04" in refused.stderr
    # What can be afforded goes on, as far as there is a broker.
    assert video_bot(*dear, **broker, SANDBOX_PRICE_PER_SECOND="0.50").returncode == 1


def test_wrong_settings_are_named_together(video_bot: VideoBot) -> None:
    wrong = {
        "MONTHLY_QUOTA": "none",
        "FAILED_REQUESTS_COUNT": "perhaps",
        "SANDBOX_PRICE_PER_SECOND": "free",
    }
    done = video_bot("limits", "show", "alice", **wrong)
    assert done.returncode == 2
    for variable in wrong:
        assert f"{variable} must be" in done.stderr
