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
    """What `up` need not bring itself, because it is set; whether it is right, others judge."""

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    output_dir: SecretStr | None = None
    flower_basic_auth: SecretStr | None = None
    port: SecretStr | None = None

    def variables(self) -> dict[str, str]:
        """The values that are there already, by variable."""
        values: dict[str, SecretStr | None] = dict(self)
        return {name.upper(): value.get_secret_value() for name, value in values.items() if value}
