"""What the processes of this package need to know of their environment."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from db.settings import Settings


class FlowerSettings(Settings):
    """Where Flower listens, and who may see it."""

    flower_basic_auth: SecretStr
    port: Annotated[int, Field(ge=1, le=65535)] = 5555

    @field_validator("flower_basic_auth")
    @classmethod
    def _is_user_and_password(cls, value: SecretStr) -> SecretStr:
        user, _, password = value.get_secret_value().partition(":")
        if not user or not password:
            raise ValueError("must look like user:password")
        return value


class GivenSettings(Settings):
    """What `up` need not bring itself, because it is set."""

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    flower_basic_auth: str | None = None
    port: int | None = None

    def servers(self) -> dict[str, str]:
        """The addresses of the servers that are there already, by variable."""
        urls = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
        return {name: url.get_secret_value() for name, url in urls.items() if url is not None}
