"""The wheel: what a machine without a checkout gets."""

import os
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("bot", "db", "sql", "workers")
PARTS = (*ROOMS, "tests", "setup.cfg", "setup.py", "README.rst", "LICENSE")


def run(argv: list[str | Path], *, cwd: Path, **env: str) -> str:
    found = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def sources() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for suffix in ("py", "sql", "rst")
        for path in (ROOT / room).rglob(f"*.{suffix}")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves things beside its sources."""
    copy, target = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    litter = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=litter)
        else:
            shutil.copy(source, copy)
    # With the setuptools that is here, so that no index is asked.
    options = ["--no-deps", "--no-index", "--no-build-isolation"]
    run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", target, "."], cwd=copy)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed, where it goes before the checkout."""
    target = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-index"]
    run([sys.executable, "-m", "pip", "install", *options, "--target", target, wheel], cwd=target)
    return target


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(file.read(name).decode())


def test_every_file_of_every_package_is_in_it_and_nothing_else(wheel: Path) -> None:
    assert wheel.name.startswith("video_bot-")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    assert names == sources()


def test_it_asks_for_what_it_needs(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"
    assert {*metadata.get_all("Provides-Extra", [])} == {"demo", "test", "dev"}
    needed = " ".join(
        each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each
    )
    for package in (
        *("celery[redis]", "psycopg2-binary", "SQLAlchemy", "nextcord", "flower"),
        *("google-cloud-aiplatform", "google-cloud-storage"),
    ):
        assert package.lower() in needed.lower()


def test_the_migrations_are_found_from_there(site: Path) -> None:
    script = "import db.migrate; print(*[each.up for each in db.migrate.migrations()], sep='\\n')"
    found = run([sys.executable, "-c", script], cwd=site, PYTHONPATH=str(site))
    files = [Path(line) for line in found.splitlines()]
    assert [path.name for path in files] == sorted(
        path.name for path in (ROOT / "sql").glob("*.sql")
    )
    assert all(path.is_relative_to(site) for path in files)


def test_its_command_migrates_a_database(
    site: Path, empty_database_url: str, tmp_path: Path
) -> None:
    command = site / "bin" / "video-bot"
    env = {"PYTHONPATH": str(site), "DATABASE_URL": empty_database_url}
    run([command, "db", "migrate"], cwd=tmp_path, **env)
    status = run([command, "db", "status"], cwd=tmp_path, **env)
    assert "pending" not in status
    assert "missing" not in status
    assert status.count("applied  ") == len([*(ROOT / "sql").glob("*.sql")])


def test_its_celery_application_is_where_others_look_for_it(site: Path, tmp_path: Path) -> None:
    script = (
        "import workers.app, workers.tasks; print(workers.app.__file__);"
        "print(*sorted(name for name in workers.app.app.tasks if '.' not in name))"
    )
    found = run([sys.executable, "-c", script], cwd=tmp_path, PYTHONPATH=str(site))
    where, names = found.splitlines()
    assert Path(where).is_relative_to(site)
    chain = {"create_request", "start_generation", "poll_operation", "finalize"}
    assert chain < {*names.split()}


@pytest.mark.parametrize("command", ["tests.faults", "tests.benchmarks"])
def test_who_lacks_the_libraries_of_the_tests_is_told_how_to_have_them(command: str) -> None:
    # Without what is installed beside Python.
    argv = [sys.executable, "-S", "-m", command, "--help"]
    found = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == ("The tests need libraries of their own: pip install -e '.[test]'\n")
