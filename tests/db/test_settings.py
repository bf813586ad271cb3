"""DG4, NM: what the environment must hold, and one message for everything wrong with it."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr

from db.settings import DatabaseSettings, Settings, SettingsError, read, require

URL = "postgresql://bot:hush@db.example:6543/videos?sslmode=require"


class OtherSettings(Settings):
    """Another package's, wrong in every way there is."""

    some_token: SecretStr
    seconds: Annotated[float, Field(ge=0.5)] = 1.0
    outcome: Literal["proceed", "refuse"] = "proceed"
    is_kept: bool = True


def test_dg4_the_missing_address_is_named_word_for_word() -> None:
    with pytest.raises(SettingsError) as caught:
        read(DatabaseSettings)
    assert str(caught.value) == "DATABASE_URL environment variable is required"


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("DATABASE_MAX_CONNECTIONS", "")
    with pytest.raises(SettingsError) as caught:
        read(DatabaseSettings)
    assert str(caught.value) == "DATABASE_URL environment variable is required"


def test_dg4_one_message_names_everything_that_is_missing_or_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "DATABASE_MAX_CONNECTIONS": "many",
        "SECONDS": "0.1",
        "OUTCOME": "perhaps",
        "IS_KEPT": "maybe",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        require(DatabaseSettings, OtherSettings)
    assert str(caught.value).splitlines() == [
        "DATABASE_URL environment variable is required",
        "DATABASE_MAX_CONNECTIONS must be a whole number from 1 to 100",
        "SOME_TOKEN environment variable is required",
        "SECONDS must be a number from 0.5",
        "OUTCOME must be one of 'proceed' or 'refuse'",
        "IS_KEPT must be true or false",
    ]


def test_what_two_packages_miss_is_named_once() -> None:
    with pytest.raises(SettingsError) as caught:
        require(DatabaseSettings, DatabaseSettings)
    assert str(caught.value).count("DATABASE_URL") == 1


@pytest.mark.parametrize("value", ["0", "-1", "101", "1.5", "ten", "1e400"])
def test_dg5_connections_out_of_bounds_are_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DATABASE_MAX_CONNECTIONS", value)
    with pytest.raises(SettingsError, match=r"^DATABASE_MAX_CONNECTIONS must be .* from 1 to 100$"):
        read(DatabaseSettings)


@pytest.mark.parametrize(("value", "connections"), [(None, 10), ("1", 1), ("100", 100)])
def test_dg5_connections(
    monkeypatch: pytest.MonkeyPatch, value: str | None, connections: int
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    if value:
        monkeypatch.setenv("DATABASE_MAX_CONNECTIONS", value)
    assert read(DatabaseSettings).database_max_connections == connections


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_nm_every_spelling_of_the_address_is_understood(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL.replace("postgresql", scheme))
    url = read(DatabaseSettings).url
    assert url.drivername == "postgresql+psycopg2"
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "bot",
        "hush",
        "db.example",
        6543,
        "videos",
    )
    assert url.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    "value",
    [
        "mysql://bot:hush@db/videos",
        "sqlite:///hush",
        "postgresql+asyncpg://bot:hush@db/videos",
        "hush",
        "postgresql://bot:hush@db:port/videos",
        "postgresql:hush",
        "postgresql://bot:hush@db:99999/videos",
        "postgresql://bot:hush@db/videos\nTOKEN=hush",
    ],
)
def test_another_address_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", value)
    with pytest.raises(SettingsError) as caught:
        read(DatabaseSettings)
    assert str(caught.value) == (
        "DATABASE_URL must look like postgresql://user:password@host:5432/database"
    )


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "postgresql://bot:hu@sh@db/videos",
            "has more than one @: inside of a password, write %40",
        ),
        (
            "postgresql://bot@db/videos?hush=1&sslmode=require",
            "has something behind its ? that is no option of libpq's; inside of a password, "
            "write %3F",
        ),
    ],
)
def test_lg2_what_a_password_must_not_hold_is_told_how_to_be_written(
    monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        read(DatabaseSettings)
    assert str(caught.value) == f"DATABASE_URL {told}"


def test_what_libpq_knows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "DATABASE_URL", "postgresql://bot@/videos?host=/cloudsql/a:b:c&sslmode=require"
    )
    assert read(DatabaseSettings).url.query["sslmode"] == "require"


def test_lg2_settings_do_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = read(DatabaseSettings)
    shown = [repr(settings), str(settings), str(settings.url), repr(settings.url)]
    assert not [text for text in shown if "hush" in text]


def test_a_dotenv_that_nobody_can_read_is_named() -> None:
    Path(".env").write_bytes(b"DATABASE_URL=\xff\xfe")
    with pytest.raises(SettingsError, match=r"The file \.env in this folder is not UTF-8"):
        read(DatabaseSettings)


@pytest.mark.parametrize(
    "wrong",
    [
        "DATABASE URL=hush",
        "DAILY_LIMIT:hush",
        "hush",
        "export hush",
        "A=hush\0",
        'PASSWORD="hush',
        "='hush'",
        "TOKEN='hush",
    ],
)
def test_lg2_a_line_of_dotenv_that_nobody_understands_is_named_and_not_shown(
    capfd: pytest.CaptureFixture[str], wrong: str
) -> None:
    Path(".env").write_text(f"# Ours\n\nDATABASE_URL={URL}\n\n\n{wrong}\nDAILY_LIMIT=1\n")
    with pytest.raises(SettingsError) as caught:
        read(DatabaseSettings)
    assert str(caught.value) == (
        "Line 6 of the file .env in this folder is not understood: write NAME=value, with the same "
        "quote on both sides if with any"
    )
    assert capfd.readouterr() == ("", "")


def test_a_dotenv_as_shells_and_compose_know_it_is_understood() -> None:
    Path(".env").write_text(
        f"export DATABASE_URL='{URL}'\r\n# no\n\n  DATABASE_MAX_CONNECTIONS = 3 # three\nA=\n"
        'C="two\nlines"\n'
    )
    assert read(DatabaseSettings).database_max_connections == 3


def test_a_dotenv_in_the_working_directory_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Path.cwd() == tmp_path
    (tmp_path / ".env").write_text(f"DATABASE_URL={URL}\nDATABASE_MAX_CONNECTIONS=7\nELSE=1\n")
    monkeypatch.setenv("DATABASE_MAX_CONNECTIONS", "8")
    settings = read(DatabaseSettings)
    assert settings.url.host == "db.example"
    assert settings.database_max_connections == 8
