"""What the database package needs to know of its environment, and how any package asks."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from dotenv.parser import parse_stream
from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVER = "postgresql+psycopg2"


class SettingsError(Exception):
    """Missing or wrong variables: the message names every one of them, and no value of a secret."""


class Settings(BaseSettings):
    """Base of every settings class: the environment, and ``.env`` in the working directory.

    A field's name in capitals is the variable's. An empty variable counts as unset.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    def __init__(self, **given: Any) -> None:
        """Read them. Raises ValidationError, or SettingsError where there is no reading `.env`."""
        try:
            _refuse_unread_lines(Path(".env"))
            super().__init__(**given)
        except UnicodeDecodeError:
            raise SettingsError(
                "The file .env in this folder is not UTF-8: save it as that"
            ) from None
        except OSError as error:
            raise SettingsError(f"The file .env in this folder cannot be read: {error}") from None


def _refuse_unread_lines(file: Path) -> None:
    """Raise SettingsError for a line that would be left out, and its setting with it."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        for each in parse_stream(lines):
            has_no_value = each.key is not None and each.value is None
            if each.error or has_no_value or "\0" in each.original.string:
                # The blank lines before it are part of it. It is not shown: it may hold a secret.
                text = each.original.string
                blank = text[: len(text) - len(text.lstrip())].count("\n")
                raise SettingsError(
                    f"Line {each.original.line + blank} of the file .env in this folder is not "
                    "understood: write NAME=value, with the same quote on both sides if with any"
                )


class DatabaseSettings(Settings):
    """How to reach Postgres, and how much of it a process may take."""

    database_url: SecretStr
    database_max_connections: Annotated[int, Field(ge=1, le=100)] = 10

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        written = url.get_secret_value()
        try:
            address = make_url(written) if written.isprintable() else None
        except (ArgumentError, ValueError):
            address = None
        is_ours = address and address.drivername in ("postgres", "postgresql", DRIVER)
        if not address or not is_ours or not (address.port is None or 0 < address.port < 65536):
            raise ValueError("must look like postgresql://user:password@host:5432/database")
        if "@" in (address.host or ""):
            # What is behind the first @ would count as the host, and be shown.
            raise ValueError("has more than one @: inside of a password, write %40")
        try:
            make_dsn(**{name: str(value) for name, value in address.query.items()})
        except (ProgrammingError, TypeError):
            # Two names of one thing are a TypeError.
            raise ValueError(
                "has something behind its ? that is no option of libpq's; inside of a password, "
                "write %3F"
            ) from None
        return url

    @property
    def url(self) -> URL:
        """The address for SQLAlchemy, ``postgres://`` understood. Its str() hides the password."""
        return make_url(self.database_url.get_secret_value()).set(drivername=DRIVER)

    @property
    def address(self) -> str:
        """Where it is, without the password."""
        return without_password(self.url)


def without_password(url: URL) -> str:
    """An address of Postgres as it may be shown."""
    shown = {name: value for name, value in url.query.items() if "password" not in name}
    return url.set(drivername="postgresql", query=shown).render_as_string(hide_password=True)


S = TypeVar("S", bound=Settings)


def read(settings: type[S]) -> S:
    """One package's settings."""
    require(settings)
    return settings()


def read_part(settings: type[S], needed: Collection[str]) -> S:
    """Settings that are right in the `needed` fields; what is wrong elsewhere is the default.

    For who looks at one thing only. Raises SettingsError.
    """
    try:
        return settings()
    except ValidationError as error:
        wrong = {str(detail["loc"][0]).lower() for detail in error.errors()}
    if wrong.intersection(needed):
        require(settings)
    defaults: dict[str, Any] = {name: settings.model_fields[name].default for name in wrong}
    return settings(**defaults)


def require(*classes: type[Settings], brought: Collection[str] = ()) -> None:
    """Raise one SettingsError that names everything missing or wrong for all of `classes`.

    `brought` are variables that the caller will set: how they stand now does not matter.
    """
    problems: list[str] = []
    for settings in classes:
        try:
            settings()
        except ValidationError as error:
            problems += _sentences(settings, error, brought)
    if problems:
        raise SettingsError("\n".join(dict.fromkeys(problems)))


def _sentences(
    settings: type[Settings], error: ValidationError, brought: Collection[str]
) -> Iterator[str]:
    for detail in error.errors():
        field = str(detail["loc"][0]).lower()
        variable = field.upper()
        if variable in brought:
            continue
        if detail["type"] == "missing":
            yield f"{variable} environment variable is required"
        else:
            yield f"{variable} {_wanted(detail, settings.model_fields[field])}"


def _wanted(detail: ErrorDetails, field: FieldInfo) -> str:
    """What would be right, in a few words."""
    if detail["type"] in ("literal_error", "enum"):
        return f"must be one of {detail['ctx']['expected']}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if field.annotation is bool:
        return "must be true or false"
    bounds: dict[str, Any] = {}
    for rule in field.metadata:
        bounds |= {name: getattr(rule, name) for name in ("ge", "gt", "le") if hasattr(rule, name)}
    kind = "a whole number" if field.annotation in (int, int | None) else "a number"
    lowest = f" from {bounds['ge']}" if "ge" in bounds else ""
    highest = f" to {bounds['le']}" if "le" in bounds else ""
    return f"must be {kind}{lowest}{highest}"
