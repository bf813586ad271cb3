"""What the documents say is so: variables, states, commands, services, links."""

import configparser
import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from pydantic_core import PydanticUndefined

import bot.settings
import db.settings
import workers.settings
from bot.cli.commands import cli
from db.settings import Settings
from db.states import TRANSITIONS, Status
from tests.conftest import VARIABLES
from workers.settings import SandboxOutcome

ROOT = Path(__file__).parents[1]
REQUIRED = object()
UNSET = "(unset)"
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.rst")
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)


def settings() -> dict[str, Any]:
    """Every variable that a class of settings reads, and its default."""
    found: dict[str, Any] = {}
    for module in (db.settings, workers.settings, bot.settings):
        for each in vars(module).values():
            is_one = isinstance(each, type) and issubclass(each, Settings)
            # What `up` looks for is what the others read.
            if not is_one or each.__module__ != module.__name__ or each.__name__ == "GivenSettings":
                continue
            for name, field in each.model_fields.items():
                is_required = field.default is PydanticUndefined
                default = REQUIRED if is_required else shown(field.default)
                known = found.get(name.upper(), default)
                if REQUIRED in (default, known) and default != known:
                    # Some processes go without what others cannot do without.
                    default = known = known if default is REQUIRED else default
                # Each process that listens has a PORT of its own.
                found[name.upper()] = default if default == known else f"{default} or {known}"
    return found


def shown(default: Any) -> str:
    """A default as one would write it."""
    if default is None:
        return UNSET
    if isinstance(default, bool):
        return str(default).lower()
    return str(getattr(default, "get_secret_value", lambda: default)())


SETTINGS = settings()


# --- Variables ------------------------------------------------------------------------------


def example() -> Iterator[tuple[str, str, bool]]:
    """Name and value of each variable of .env.example, and whether it is set there."""
    for line in (ROOT / ".env.example").read_text().splitlines():
        if match := re.fullmatch(r"(# )?([A-Z][A-Z_]+)=(.*)", line):
            yield match[2], match[3], not match[1]


def test_the_example_names_every_variable_with_its_default() -> None:
    names = [name for name, _, _ in example()]
    assert len(names) == len(set(names))
    assert {*names} == {*SETTINGS}
    for name, value, is_set in example():
        assert is_set == (SETTINGS[name] is REQUIRED), name
        if not is_set:
            assert value in SETTINGS[name].replace(UNSET, "").split(" or "), name


def test_the_example_works_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    db.settings.require(
        db.settings.DatabaseSettings,
        workers.settings.WorkerSettings,
        workers.settings.DiscordSettings,
        workers.settings.LogSettings,
        bot.settings.FlowerSettings,
        bot.settings.WebSettings,
    )


def table() -> dict[str, tuple[str, str]]:
    """Default and meaning of each variable of the README's table."""
    tree = doctree(ROOT / "README.rst")
    for each in tree.findall(nodes.table):
        rows = [
            [cell.astext() for cell in row.findall(nodes.entry)] for row in each.findall(nodes.row)
        ]
        if rows[0] == ["Variable", "Default", "Meaning"]:
            return {name: (default, meaning) for name, default, meaning in rows[1:]}
    raise AssertionError("README.rst has no table of variables")


def test_the_readme_names_every_variable_with_its_default() -> None:
    assert {*table()} == {*SETTINGS}
    for name, (default, _) in table().items():
        if SETTINGS[name] is REQUIRED:
            assert default.startswith("(required"), name
        else:
            assert default == SETTINGS[name], name


def test_every_outcome_of_the_sandbox_is_told() -> None:
    default, meaning = table()["SANDBOX_OUTCOME"]
    assert {default, *re.findall(r"[a-z]+", meaning)} - {"or"} == {*SandboxOutcome}
    comments = (ROOT / ".env.example").read_text()
    assert not [each for each in SandboxOutcome if not re.search(rf"# .*\b{each}\b", comments)]


def test_no_variable_of_the_developer_reaches_a_test() -> None:
    assert {*SETTINGS} <= {*VARIABLES}


# --- States ---------------------------------------------------------------------------------


def drawn_moves(text: str) -> set[tuple[str, str]]:
    """The moves of the first diagram of `text`."""
    diagram = re.search(r"text\n\n((?: {4}.*\n)+)", text)
    assert diagram
    drawn: set[tuple[str, str]] = set()
    sources: dict[int, str] = {}
    for line in diagram[1].splitlines():
        for arrow in re.finditer("──▶", line):
            # An arrow with nothing before it starts where the one above it does.
            if source := re.search(r"(\w+) $", line[: arrow.start()]):
                sources[arrow.start()] = source[1]
            target = re.match(r" (\w+)", line[arrow.end() :])
            assert target
            drawn.add((sources[arrow.start()], target[1]))
    return drawn


@pytest.mark.parametrize("document", ["README.rst", "db/README.rst"])
def test_the_diagram_is_the_table_of_the_code(document: str) -> None:
    _, _, rest = (ROOT / document).read_text().partition("\nThe life of a request\n")
    assert drawn_moves(rest) == {
        (str(source), str(target)) for source, targets in TRANSITIONS.items() for target in targets
    }


def test_the_readme_tells_of_every_state() -> None:
    _, _, rest = (ROOT / "README.rst").read_text().partition("\nThe life of a request\n")
    told = re.findall(r"^``(\w+)`` +\S", rest.partition("\nThe map\n")[0], re.MULTILINE)
    assert told == [str(status) for status in Status]


# --- Commands -------------------------------------------------------------------------------


def parse(arguments: list[str]) -> None:
    """Read a command line as the program would, and run nothing."""
    context = cli.make_context("video-bot", [*arguments])
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, name
        command = found
        context = command.make_context(name, [*arguments], parent=context)


def readme_commands() -> list[str]:
    text = (ROOT / "README.rst").read_text()
    return re.findall(r"^ +(python3 -m venv .*)$", text, re.MULTILINE)


def test_the_two_commands_of_the_readme_are_complete_in_a_line_each() -> None:
    begin = "python3 -m venv .venv && . .venv/bin/activate && "
    first, second = readme_commands()
    demo = 'video-bot demo "a red kite over a grassy park"'
    assert first == f"{begin}pip install '.[demo]' && {demo}"
    assert second == f"{begin}pip install -e '.[test]' && pytest"
    parse(shlex.split(first)[-2:])
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    assert {"demo", "test", "dev"} == {*parser["options.extras_require"]}


def test_ci_finds_the_command_that_it_is_to_run() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r'grep -E "(.*?)" README\.rst \| head -n 1', script)
    assert pattern
    lines = (ROOT / "README.rst").read_text().splitlines()
    first = next(line for line in lines if re.search(pattern[1], line))
    assert first.strip() == readme_commands()[1]
    for tool in ("ruff format --check .", "ruff check .", "mypy", "lint-imports"):
        assert f"\n{tool}\n" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# --- Prose ----------------------------------------------------------------------------------


def doctree(path: Path) -> nodes.document:
    complaints = io.StringIO()
    options = {"report_level": 1, "halt_level": 5, "warning_stream": complaints}
    tree = publish_doctree(path.read_text(), str(path), settings_overrides=options)
    assert not complaints.getvalue()
    return tree


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_are_well_formed_and_their_links_lead_somewhere(path: Path) -> None:
    for reference in doctree(path).findall(nodes.reference):
        uri = reference.get("refuri", "")
        if uri and "://" not in uri and not uri.startswith("mailto:"):
            assert (path.parent / uri.partition("#")[0]).exists(), uri


def test_the_map_of_the_readme_names_the_rooms() -> None:
    _, _, rest = (ROOT / "README.rst").read_text().partition("\nThe map\n")
    named = re.findall(r"^``(\w+)/`` ", rest, re.MULTILINE)
    assert named == ["sql", "db", "workers", "bot", "tests"]
    assert all((ROOT / name).is_dir() for name in named)


def test_the_changelog_tells_of_what_is_not_released_or_of_this_version() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    titles = [title.astext() for title in doctree(ROOT / "CHANGELOG.rst").findall(nodes.title)]
    assert titles[0] in ("Changelog", "Unreleased", parser["metadata"]["version"])
    text = (ROOT / "CHANGELOG.rst").read_text()
    assert re.search(
        rf"^(Unreleased|{re.escape(parser['metadata']['version'])}.*)\n-+\n\n- ", text, re.M
    )
