"""What the processes of this package need to know of their environment."""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator

from db.settings import Settings

SECRET_LENGTH: Final = 16
"""Characters that a secret which nobody has to type must have at least."""

Port = Annotated[int, Field(ge=1, le=65535)]


class FlowerSettings(Settings):
    """Where Flower listens, who may see it, and what it keeps.

    The variables bear the names that Flower itself knows them by, and their values its form.
    """

    flower_basic_auth: SecretStr
    #: Empty: made at the first start and kept beside the state.
    flower_cookie_secret: SecretStr = SecretStr("")
    flower_url_prefix: str = ""
    flower_db: Path = Path("flower")
    port: Port = 5555

    @field_validator("flower_basic_auth")
    @classmethod
    def _is_user_and_password(cls, value: SecretStr) -> SecretStr:
        # Flower would take what follows a comma for another login.
        for login in value.get_secret_value().split(","):
            user, _, password = login.partition(":")
            if not user or not password:
                raise ValueError("must look like user:password")
        return value

    @field_validator("flower_cookie_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr) -> SecretStr:
        return _long_enough(value)

    @field_validator("flower_url_prefix")
    @classmethod
    def _is_path(cls, value: str) -> str:
        path = value.strip("/")
        if not re.fullmatch(r"([\w-]+(/[\w-]+)*)?", path, re.ASCII):
            raise ValueError("must be a path like /flower")
        return path


class BotSettings(Settings):
    """Who the bot is, where its commands are, and what it does not take on."""

    discord_token: SecretStr
    #: The one server in which the commands are registered; without it, everywhere.
    discord_guild_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    #: Separated by commas; empty: every channel.
    allowed_channel_ids: str = ""
    #: Separated by commas; empty: none.
    blocked_words: str = ""

    @field_validator("discord_token")
    @classmethod
    def _is_one_word(cls, value: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[\w.-]+", value.get_secret_value(), re.ASCII):
            raise ValueError("must be the token alone, as the developer portal shows it")
        return value

    @field_validator("allowed_channel_ids")
    @classmethod
    def _are_numbers(cls, value: str) -> str:
        if not all(each.isascii() and each.isdigit() for each in _listed(value)):
            raise ValueError("must be numbers separated by commas, like 123,456")
        return value

    @property
    def allowed_channels(self) -> frozenset[int]:
        """Where videos may be asked for; everywhere if it is empty."""
        return frozenset(map(int, _listed(self.allowed_channel_ids)))

    @property
    def blocked(self) -> list[str]:
        """What no prompt may hold."""
        return _listed(self.blocked_words)


def _listed(value: str) -> list[str]:
    return [each.strip() for each in value.split(",") if each.strip()]


class WebSettings(Settings):
    """Where the web process listens, and who may see its metrics."""

    #: Empty: whoever is on the same machine.
    metrics_token: SecretStr = SecretStr("")
    port: Port = 8080

    @field_validator("metrics_token")
    @classmethod
    def _is_long_enough(cls, value: SecretStr) -> SecretStr:
        return _long_enough(value)


def _long_enough(value: SecretStr) -> SecretStr:
    if 0 < len(value.get_secret_value()) < SECRET_LENGTH:
        raise ValueError(f"must have {SECRET_LENGTH} characters or more")
    return value


class GivenSettings(Settings):
    """What `up` need not bring itself, because it is set; whether it is right, others judge."""

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    output_dir: SecretStr | None = None
    flower_basic_auth: SecretStr | None = None
    flower_db: SecretStr | None = None
    flower_url_prefix: SecretStr | None = None
    discord_token: SecretStr | None = None
    port: SecretStr | None = None

    def variables(self) -> dict[str, str]:
        """The values that are there already, by variable."""
        values: dict[str, SecretStr | None] = dict(self)
        return {name.upper(): value.get_secret_value() for name, value in values.items() if value}
