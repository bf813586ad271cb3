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
    port: SecretStr | None = None

    def variables(self) -> dict[str, str]:
        """The values that are there already, by variable."""
        values: dict[str, SecretStr | None] = dict(self)
        return {name.upper(): value.get_secret_value() for name, value in values.items() if value}
