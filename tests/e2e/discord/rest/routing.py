"""Which route a request takes, and what its handler is given."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.discord.errors import Json, plain
from tests.e2e.discord.rest.bodies import Body
from tests.e2e.discord.world import World
from tests.e2e.discord.writing import Draft

API: Final = "/api/v10"


@dataclass(frozen=True)
class Call:
    """A request on its way to its handler."""

    world: World
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: Body
    gateway_url: str

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    @property
    def data(self) -> Json:
        """The body, which must be an object."""
        if not isinstance(self.body.data, dict):
            raise plain(400, "Bad Request")
        return self.body.data

    @property
    def draft(self) -> Draft:
        """The body as a message."""
        return Draft(self.data, self.body.uploads)


@dataclass(frozen=True)
class Reply:
    """A status and a body; no body is 204."""

    data: Any = None
    status: int = 200


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """A documented endpoint."""

    method: str
    template: str
    handler: Handler
    needs_token: bool

    @property
    def name(self) -> str:
        """Method and template, by which tests speak of it."""
        return f"{self.method} {self.template}"


class Routes:
    """A table of routes, filled by decorators."""

    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], Route]] = []

    def __call__(
        self, method: str, template: str, *, needs_token: bool = True
    ) -> Callable[[Handler], Handler]:
        """The decorated function answers this endpoint."""
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

        def add(handler: Handler) -> Handler:
            self._routes.append((pattern, Route(method, template, handler, needs_token)))
            return handler

        return add

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The first route that fits, and its parameters."""
        for pattern, route in self._routes:
            if route.method == method and (found := pattern.fullmatch(path)):
                return route, found.groupdict()
        return None

    def extend(self, other: "Routes") -> None:
        """Take over another table's routes."""
        self._routes.extend(other._routes)
