"""What the documents of operation say is so: commands, variables, log lines, sentences, figures."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml
from docutils import nodes

import bot.settings
import db.settings
import workers.settings
from bot.cli.commands import cli
from bot.discord import watching
from db import engine, slow_queries
from db.settings import Settings
from tests.test_documents import DOCUMENTS, ROOT, SETTINGS, doctree, table
from workers import app, following, leaving, retention, schedule, sweeper
from workers.storage import gcs

LEVELS = {"debug", "info", "warning", "error", "exception"}
FOREIGN_VARIABLES = {
    # Celery's, libpq's and psql's, those of the images in docker-compose.yml.
    "REMAP_SIGTERM",
    "ON_ERROR_STOP",
    "POSTGRES_PASSWORD",
    "GRAFANA_PASSWORD",
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    # What the reader puts in.
    "BACKUP_ID",
    "IDENTITY_PROVIDER",
    "POSTGRES_14",
}
DB = ROOT / "db" / "README.rst"
WORKERS = ROOT / "workers" / "README.rst"
each_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


@cache
def modules() -> dict[Path, ast.Module]:
    """The code that the documents tell of."""
    return {
        path: ast.parse(path.read_text())
        for room in ("bot", "db", "workers")
        for path in sorted((ROOT / room).rglob("*.py"))
    }


def literals(node: nodes.Node) -> list[str]:
    """What is set as code in running text."""
    return [" ".join(each.astext().split()) for each in node.findall(nodes.literal)]


def section(path: Path, title: str) -> nodes.section:
    """The part of a document under this title."""
    for each in doctree(path).findall(nodes.section):
        if each[0].astext() == title:
            return each
    raise AssertionError(f"{path} has no part {title}")


def rows(part: nodes.Node, *, header: str) -> list[list[nodes.entry]]:
    """The rows of the table whose first column has this header."""
    for each in part.findall(nodes.table):
        found = [list(row.findall(nodes.entry)) for row in each.findall(nodes.row)]
        if found[0][0].astext() == header:
            return found[1:]
    raise AssertionError(f"There is no table of {header}")


# --- Commands -------------------------------------------------------------------------------


def commands(path: Path) -> Iterator[list[str]]:
    """The arguments of every video-bot that a document names."""
    tree = doctree(path)
    for text in (*literals(tree), *(each.astext() for each in tree.findall(nodes.literal_block))):
        for line in text.replace("\\\n", " ").splitlines():
            for found in re.finditer(r"\bvideo-bot ((?:db|[a-z]+)\b.*)", line):
                yield list(_words(found[1]))
            for found in re.finditer(r"--args=(\S+)", line):
                yield found[1].split(",")


def _words(line: str) -> Iterator[str]:
    for word in shlex.split(line.replace("'", ""), comments=True):
        if word in ("|", "||", "&&", "...", "…"):
            return
        yield word.strip("[]")


def check(arguments: list[str]) -> None:
    """That the command exists, with its options."""
    command: click.Command = cli
    rest = iter(arguments)
    for word in rest:
        if isinstance(command, click.Group) and not word.startswith("-"):
            assert word in command.commands, f"{command.name} has no command {word}"
            command = command.commands[word]
        elif word.startswith("-"):
            options = {name for each in command.params for name in each.opts} | {"--help"}
            assert word.partition("=")[0] in options, f"{command.name} has no option {word}"


@each_document
def test_every_command_exists_with_its_options(path: Path) -> None:
    for arguments in commands(path):
        check(arguments)


def test_a_command_that_does_not_exist_is_found() -> None:
    for wrong in (["sweep"], ["db", "upgrade"], ["worker", "--threads"]):
        with pytest.raises(AssertionError):
            check(wrong)


# --- Variables ------------------------------------------------------------------------------


@each_document
def test_every_variable_is_a_setting(path: Path) -> None:
    named = {*re.findall(r"\b[A-Z]{2,}(?:_[A-Z0-9]+)+\b", path.read_text())}
    foreign = {each for each in named if each.startswith("PG")}
    assert named - foreign <= {*SETTINGS, *FOREIGN_VARIABLES}


def comments() -> dict[str, str]:
    """What .env.example says of each variable."""
    text = (ROOT / ".env.example").read_text()
    return {
        name: comment
        for comment, name in re.findall(r"((?:^# .*\n)+?)^(?:# )?([A-Z_]+)=", text, re.MULTILINE)
    }


def fields() -> Iterator[tuple[str, Any]]:
    """Every variable with what is known of it."""
    for module in (db.settings, workers.settings, bot.settings):
        for each in vars(module).values():
            is_one = isinstance(each, type) and issubclass(each, Settings)
            if is_one and each.__module__ == module.__name__ and each.__name__ != "GivenSettings":
                for name, field in each.model_fields.items():
                    yield name.upper(), field


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_example_and_readme_say_what_a_variable_means(name: str) -> None:
    said = comments()
    _, meaning = table()[name]
    assert len(meaning.split()) > 1
    assert len(said[name].removeprefix("#").split()) > 1


@pytest.mark.parametrize(("name", "field"), [*fields()])
def test_choices_and_bounds_are_those_of_the_settings(name: str, field: Any) -> None:
    default, meaning = table()[name]
    for text in (f"{default} {meaning}", comments()[name]):
        choices = get_args(field.annotation)
        if all(isinstance(each, str) for each in choices):
            assert not [each for each in choices if not re.search(rf"\b{each}\b", text)], text
        bounds = {
            key: getattr(rule, key)
            for rule in field.metadata
            for key in ("ge", "le")
            if hasattr(rule, key)
        }
        for lowest, highest in re.findall(r"\b(\d+) to (\d+)\b", text):
            assert {"ge": int(lowest), "le": int(highest)} == bounds


# --- Log lines ------------------------------------------------------------------------------


def events() -> dict[str, tuple[set[str], str]]:
    """Every event that the code logs: its levels, and the source of its module."""
    found: dict[str, tuple[set[str], str]] = {}
    for path, tree in modules().items():
        source = path.read_text()
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            for event in _strings(call.args[0]):
                levels = _levels(call.func)
                if levels:
                    found.setdefault(event, (set(), source))[0].update(levels)
    return found


def _strings(node: ast.expr) -> list[str]:
    return [
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant)
        and isinstance(each.value, str)
        # The one in words is as it was asked for.
        and re.fullmatch(r"[a-z]+(_[a-z]+)+|Rate limiting degraded", each.value)
    ]


def _levels(func: ast.expr) -> set[str]:
    match func:
        case ast.Attribute(ast.Name("log"), level) if level in LEVELS:
            return {"error" if level == "exception" else level}
        # Which of the two is decided before the call.
        case ast.Name("tell"):
            return {"info", "warning"}
    return set()


def test_every_event_of_the_log_is_told_of() -> None:
    told = rows(section(WORKERS, "What they log"), header="Event")
    code = events()
    assert sorted(name for row in told for name in literals(row[0])) == sorted(code)
    for names, level, meaning in told:
        for name in literals(names):
            levels, source = code[name]
            assert {*level.astext().split(", ")} == levels, name
            for field in literals(meaning):
                assert field in SETTINGS or re.search(rf'\b{field}=|"{field}"', source), field


# --- Sentences ------------------------------------------------------------------------------


@cache
def said() -> str:
    """Every text of the code, a line each; what is put into it is left out."""
    texts = []
    for tree in modules().values():
        alone = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in alone:
                # What stands by itself, as this docstring, nobody hears.
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    each.value if isinstance(each, ast.Constant) else "\0" for each in node.values
                )
                texts.append("".join(map(str, parts)))
    return "\n".join(texts)


def quoted(part: nodes.Node) -> list[str]:
    """The sentences, and parts of sentences, that the reader is to look for."""
    others = ("video-bot ", "SELECT ", "EXPLAIN ", "ANALYZE ", "SHOW ", "--")
    return [each for each in literals(part) if " " in each and not each.startswith(others)]


@pytest.mark.parametrize(
    ("path", "title"),
    [(DB, "When it does not work"), (DB, "The life of a request"), (WORKERS, "Troubleshooting")],
    ids=["database", "life", "processes"],
)
def test_every_sentence_is_one_that_the_system_says(path: Path, title: str) -> None:
    sentences = quoted(section(path, title))
    assert sentences
    for each in sentences:
        # Which variable it is about is put in.
        name, _, rest = each.partition(" ")
        assert (rest if name in SETTINGS else each) in said(), each


@pytest.mark.parametrize("path", [DB, WORKERS], ids=["db", "workers"])
def test_every_name_is_one_of_the_code(path: Path) -> None:
    """Events, columns, tasks, metrics, settings of Celery: whatever has an underscore in it."""
    sources = [
        file.read_text()
        for pattern in ("bot/**/*.py", "db/*.py", "workers/**/*.py", "sql/**/*.sql")
        for file in ROOT.glob(pattern)
    ]
    known = {*re.findall(r"\w+", "\n".join(sources))}
    postgres = {"max_connections", "pg_stat_activity", "application_name", "pg_dump"}
    given = {"video_bot_app", "discord_video", "discord_video_dev", "dev_password"}
    for each in literals(doctree(path)):
        if re.fullmatch(r"[a-z]+(_[a-z]+)+", each):
            name = each.removeprefix("video_bot_")
            found = {each, name} & (known | postgres | given)
            # A primary key's index is named by Postgres; another test asks it.
            assert found or each.endswith("_pkey"), each


def test_no_document_is_ahead_of_the_code() -> None:
    if "Rate limiting degraded" not in said():
        assert not [path for path in DOCUMENTS if "Rate limiting degraded" in path.read_text()]


# --- Figures --------------------------------------------------------------------------------


def test_figures_are_those_of_the_code() -> None:
    of_workers, of_db = (" ".join(path.read_text().split()) for path in (WORKERS, DB))
    conf = app.app.conf
    for figure, words in (
        (app.VISIBILITY_TIMEOUT, "``visibility_timeout`` {} s"),
        (app.VISIBILITY_TIMEOUT, "messages come back after {} s"),
        (app.TASK_TIME_LIMIT, "``task_time_limit`` is {} s"),
        (leaving.WITHIN, "is gone {} s after it began"),
        (round(conf.worker_soft_shutdown_timeout), "waits at most {} s"),
        (conf.worker_prefetch_multiplier, "``worker_prefetch_multiplier`` {}"),
        (sweeper.BATCH, "up to {} requests"),
        (watching.TELL_AFTER.seconds, "After {} s it was no row"),
        (retention.BATCH, "in batches of {}"),
        (round(retention.REST), "{} times as long as the batch took"),
        (round(retention.SLICE), "after {} s it hands over"),
        (gcs.LINK_FOR // timedelta(hours=1), "the link works for {} hours"),
        (round(gcs.PATIENCE), "No wait for it is longer than {} s"),
    ):
        assert words.format(figure) in of_workers, words
    assert "30 3 * * *" in repr(schedule.CLEAN_UP_AT)
    assert "every day at 03:30 UTC" in of_workers
    assert following.THREADS == 8
    assert "eight at a time" in of_workers
    for seconds, words in (
        (engine.POOL_WAIT, "connection of the pool {} s"),
        (engine.IDLE, "by the server after {} s"),
        (engine.STATEMENT_TIMEOUT, "A statement {} s"),
        (engine.ANSWER_TIMEOUT, "An answer of the server {} s"),
    ):
        assert words.format(seconds.seconds) in of_db, words
    assert f"more than {slow_queries.SLOW_MS} ms" in of_db
    assert f"more than {slow_queries.VERY_SLOW_MS} ms" in of_db


def test_the_queues_are_those_of_the_application() -> None:
    part = section(WORKERS, "What each process does")
    told: dict[str, str] = {}
    for row in part.findall(nodes.row):
        queue, tasks = (literals(cell) for cell in row.findall(nodes.entry))
        if queue[0] in {each.name for each in app.app.conf.task_queues}:
            told |= dict.fromkeys(tasks, queue[0])
    assert told == app.app.conf.task_routes


# --- Examples -------------------------------------------------------------------------------


def blocks(language: str) -> Iterable[str]:
    """The examples in this language."""
    for each in doctree(WORKERS).findall(nodes.literal_block):
        if language in each["classes"]:
            yield each.astext()


def test_the_deployment_migrates_before_it_replaces_a_process() -> None:
    [text] = blocks("yaml")
    deploy = yaml.safe_load(text)["jobs"]["deploy"]
    assert deploy["needs"] == "test"
    names = [step.get("name") for step in deploy["steps"]]
    assert names.index("Migrate") < names.index("Replace the processes")
    [migrate] = [step["run"] for step in deploy["steps"] if step.get("name") == "Migrate"]
    assert "--args=db,migrate" in migrate
    # Without it the next step would not wait for the end, nor see how it was.
    assert "--wait" in migrate


def test_the_shell_understands_the_examples() -> None:
    for text in blocks("bash"):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_every_process_is_deployed_after_the_migrations() -> None:
    migrate, *processes = re.findall(r"--args=([\w,]+)", "".join(blocks("bash")))
    assert migrate == "db,migrate"
    deployed = {each.partition(",")[0] for each in processes}
    # Flower is for who wants it; its state would go with the instance.
    assert deployed == {"worker", "bot", "beat", "web"}
    [workflow] = blocks("yaml")
    replaced = re.findall(r"deploy video-bot-(\w+)", workflow)
    assert replaced[0] == "migrate"
    assert {*replaced[1:]} == deployed


def test_compose_passes_on_what_the_document_says_it_does() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    part = section(WORKERS, "Deploying on Compose").astext()
    assert "REQUEST_RETENTION_DAYS" in part
    for name, service in services.items():
        if "build" in service:
            assert service["env_file"] == [{"path": ".env", "required": False}], name
            assert not {"REQUEST_RETENTION_DAYS", "DAILY_LIMIT"} & {*service["environment"]}
    # One variable of two processes.
    assert services["flower"]["environment"]["PORT"] == 5555
    assert services["web"]["environment"]["PORT"] == 8080
