"""An application without a library: requests put together by hand, to see exactly what comes."""

import json
from typing import Any

import requests

from tests.e2e.discord import Callback, FakeDiscord, Interaction

Json = dict[str, Any]
Files = dict[str, bytes]

VEO: Json = {
    "name": "veo",
    "description": "Make a video",
    "options": [
        {
            "type": 3,
            "name": "prompt",
            "description": "What to see",
            "required": True,
            "min_length": 5,
        },
        {
            "type": 4,
            "name": "duration",
            "description": "Seconds",
            "choices": [{"name": "Four", "value": 4}, {"name": "Eight", "value": 8}],
        },
        {"type": 3, "name": "model", "description": "Model", "autocomplete": True},
        {"type": 11, "name": "image", "description": "First picture"},
    ],
}
ROW: Json = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}


class Raw:
    """Requests with the bot's token, or with an interaction's own."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.discord = discord
        self.session = requests.Session()
        self.commands = f"/applications/{discord.world.application_id}/commands"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        files: Files | None = None,
        *,
        token: str | None = "",
    ) -> requests.Response:
        """One request; the bot's token, another one, or none."""
        given = self.discord.token if token == "" else token
        headers = {} if given is None else {"Authorization": f"Bot {given}"}
        url = self.discord.url + path
        if files is None:
            return self.session.request(method, url, json=body, headers=headers, timeout=20)
        parts = {
            f"files[{number}]": (name, content)
            for number, (name, content) in enumerate(files.items())
        }
        form = {"payload_json": json.dumps(body or {})}
        return self.session.request(
            method, url, data=form, files=parts, headers=headers, timeout=20
        )

    def register(self, *commands: Json) -> None:
        """Register global commands."""
        for each in commands or [VEO]:
            assert self.call("POST", self.commands, each).status_code in (200, 201)

    def answer(
        self, to: Interaction, kind: int = Callback.MESSAGE, files: Files | None = None, **data: Any
    ) -> requests.Response:
        """The first answer."""
        path = f"/interactions/{to.id}/{to.token}/callback"
        return self.call("POST", path, {"type": int(kind), "data": data}, files, token=None)

    def follow(
        self,
        method: str,
        to: Interaction,
        message: str | None = "@original",
        files: Files | None = None,
        **body: Any,
    ) -> requests.Response:
        """What follows; without a message a new one."""
        path = f"/webhooks/{self.discord.world.application_id}/{to.token}"
        if message is not None:
            path += f"/messages/{message}"
        return self.call(method, path, body or None, files, token=None)


def error(response: requests.Response) -> tuple[int, int]:
    """Status and JSON error code."""
    return response.status_code, response.json()["code"]


def problems(response: requests.Response) -> dict[str, str]:
    """The tree of a 50035, flattened: path and code."""
    assert error(response) == (400, 50035), response.text
    found: dict[str, str] = {}

    def walk(node: Json, path: tuple[str, ...]) -> None:
        for key, value in node.items():
            if key == "_errors":
                found[".".join(path)] = value[0]["code"]
            else:
                walk(value, (*path, key))

    walk(response.json()["errors"], ())
    return found
