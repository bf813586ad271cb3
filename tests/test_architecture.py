"""The house keeps its shape: who imports whom, where SQL is, what lies at the top."""

import ast
import fnmatch
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("bot", "db", "workers")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
SQL = re.compile(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|CALL|CREATE|ALTER|DROP|WITH)\s", re.ASCII)

LONG: dict[str, str] = {}
"""Modules over 250 lines, and why."""

SDKS = {
    "nextcord": ["bot/"],
    "google": ["workers/providers/", "workers/storage/"],
    "httpx": ["workers/providers/veo/"],
    "av": ["workers/providers/render.py", "workers/providers/card.py"],
    "PIL": ["workers/providers/render.py", "workers/providers/card.py", "bot/chart.py"],
    "redis": ["workers/embedded.py", "workers/transport.py"],
    "requests": ["workers/discord.py", "workers/storage/gcs_errors.py"],
    "psycopg2": ["db/"],
    "rich": ["bot/cli/"],
    "click": ["bot/cli/"],
    "fastapi": ["bot/web/"],
    "uvicorn": ["bot/web/"],
    "prometheus_client": ["bot/web/"],
    "flower": ["bot/cli/flower.py"],
    "tornado": ["bot/cli/flower.py"],
}
"""Where each library may be imported: by the process that uses it, and by no other."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), name_of(path))


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of every import, wherever it stands; the name is empty for a whole module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)} imports relatively"
            for alias in node.names:
                yield node.module or "", alias.name


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_run_one_way() -> None:
    found = lint_imports(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", found.stdout)


@pytest.mark.parametrize(("room", "other"), [("db", "workers"), ("workers", "bot")])
def test_an_import_that_runs_the_other_way_is_found(tmp_path: Path, room: str, other: str) -> None:
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    for name in ROOMS:
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / room / "backwards.py").write_text(f"import {other}.settings\n")
    found = lint_imports(tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"{room}.backwards" in found.stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_statements_are_made_in_db_alone(path: Path) -> None:
    if path.is_relative_to(ROOT / "db"):
        return
    told = [(module, name) for module, name in imports_of(path) if module.startswith("sqlalchemy")]
    # What a step needs to hand a connection on, and no more.
    assert told in ([], [("sqlalchemy", "Connection")])
    strings = [
        node.value
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in strings if SQL.match(text)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_statement_is_put_together_of_strings(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.JoinedStr):
            first = node.values[0]
            text = first.value if isinstance(first, ast.Constant) else ""
            assert not SQL.match(str(text)), ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_with_who_uses_them(path: Path) -> None:
    for module, _ in imports_of(path):
        allowed = SDKS.get(module.partition(".")[0])
        assert allowed is None or name_of(path).startswith(tuple(allowed)), module


def test_a_worker_loads_no_sdk_that_it_was_not_told_to_use() -> None:
    script = (
        "import sys, workers.tasks, workers.process, workers.providers, workers.storage;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "celery" in loaded
    assert not {"nextcord", "av", "PIL", "bot", "flower", "genai"} & {*loaded}


def test_modules_are_short() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert statistics.median(lines.values()) < 100
    # "About" 250: a tenth more is still about that.
    assert {name for name, length in lines.items() if length > 275} == {*LONG}


def test_every_module_says_what_it_is_for() -> None:
    assert not [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))]


def test_every_package_is_in_the_wheel_and_none_is_forgotten() -> None:
    listed = re.search(r"^packages =\n((?:    .+\n)+)", (ROOT / "setup.cfg").read_text(), re.M)
    assert listed
    folders = {path.parent for path in MODULES}
    folders |= {path.parent for path in (ROOT / "sql").rglob("*.sql")}
    assert sorted(listed[1].split()) == sorted(name_of(each).replace("/", ".") for each in folders)


def test_the_top_of_the_tree_is_what_was_asked_for() -> None:
    asked_for = {
        *("setup.cfg", "setup.py", "bot", "workers", "db", "sql", "tests"),
        *("docker-compose.yml", "Procfile", "README.rst"),
    }
    tools_demand = {"Dockerfile", "LICENSE", "CHANGELOG.rst"}
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    found = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".")
        and not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
    }
    assert found == asked_for | tools_demand
    assert {each for each in (".env.example", ".ci") if not (ROOT / each).exists()} == set()
