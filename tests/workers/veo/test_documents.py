"""What the document of operation says of Veo is so: prices, failures, support codes."""

import re
import subprocess
from collections.abc import Iterator

from docutils import nodes

from tests.test_operating_documents import WORKERS, literals, rows, said, section
from workers.providers.veo.failures import (
    BUSY,
    FILTERED,
    OPERATIONS,
    PROMPT_REFUSED,
    REFUSALS,
    Failure,
    Kind,
)
from workers.providers.veo.filters import CATEGORIES
from workers.providers.veo.models import MODELS

VEO = "Veo on Vertex AI"


def table(header: str) -> list[list[str]]:
    """The cells of one of its tables, as text."""
    found = rows(section(WORKERS, VEO), header=header)
    return [[" ".join(cell.astext().split()) for cell in row] for row in found]


def failures() -> Iterator[tuple[str, set[str], list[nodes.entry]]]:
    """Where each failure shows itself, by which statuses or codes, and its row."""
    for row in rows(section(WORKERS, VEO), header="What happens"):
        where, _, _ = row[0].astext().partition(":")
        yield where, {*literals(row[0])}, row


def test_the_prices_are_those_of_the_models() -> None:
    assert table("Model") == [
        [
            name,
            *(
                f"{model.prices[resolution, sound]:.2f}"
                for sound in (True, False)
                for resolution in model.resolutions
            ),
            model.retires_on.isoformat(),
        ]
        for name, model in MODELS.items()
    ]


def tells(row: list[nodes.entry], failure: Failure) -> bool:
    _, kind, code, message, advice, calls = (" ".join(cell.astext().split()) for cell in row)
    return [kind, code, message, advice, calls] == [
        failure.kind,
        failure.code,
        failure.message,
        failure.advice,
        "none",
    ]


def test_every_refusal_is_told_of_in_the_words_of_the_code() -> None:
    told = [row for where, _, row in failures() if where == "a start"]
    for status, failure in {**REFUSALS, 0: PROMPT_REFUSED}.items():
        [row] = [each for each in told if tells(each, failure)]
        assert literals(row[0]) == [str(status or 400)]
    [busy] = [row for row in told if str(BUSY) in literals(row[0])]
    assert busy[1].astext() == Kind.TRANSIENT
    assert {"400", "401", "403", "404", "429", "5xx"} == {
        each for row in told for each in literals(row[0])
    }


def test_every_failure_of_an_operation_is_told_of_in_the_words_of_the_code() -> None:
    told = {
        int(code): row
        for where, codes, row in failures()
        if where == "the operation"
        for code in codes
    }
    assert told.keys() == OPERATIONS.keys()
    for code, (_, failure) in OPERATIONS.items():
        assert tells(told[code], failure), code


def test_what_else_becomes_of_a_request_is_what_the_system_says() -> None:
    codes = {where: literals(row[2]) for where, _, row in failures()}
    assert codes["the safety filter"] == [FILTERED]
    assert codes["done without a video"] == ["no_video"]
    words = " ".join(cell for row in table("What happens") for cell in row)
    for sentence in (
        "The video service was too busy for too long. Please try again later.",
        "The video service finished without a video. Trying again may help.",
        "The safety filter held the video back",
        "because it may",
        "Generation timed out after",
    ):
        assert sentence in words
        assert sentence in said()


def test_the_support_codes_are_those_of_the_code() -> None:
    assert table("Category") == [
        [name, what, ", ".join(map(str, codes))] for name, (what, codes) in CATEGORIES.items()
    ]


def commands() -> str:
    """What is pasted into one shell, in the order in which it is."""
    return "\n".join(
        each.astext()
        for title in (VEO, "Cloud Storage", "Deploying on Google Cloud")
        for each in section(WORKERS, title).findall(nodes.literal_block)
    )


def test_the_commands_of_the_set_up_name_only_what_is_set_before() -> None:
    known, used = set[str](), set[str]()
    for line in commands().splitlines():
        named = {*re.findall(r"\$([a-zA-Z]\w*)", line)}
        is_set = {*re.findall(r"^\s*(?:export |for )?(\w+)(?:=| in )", line)}
        assert named <= known | (is_set if line.lstrip().startswith("for ") else set()), line
        known |= is_set
        used |= named
    assert known == used


def test_the_shell_understands_the_commands_of_the_set_up() -> None:
    subprocess.run(["bash", "-n"], input=commands(), text=True, check=True)


def test_every_service_and_account_that_is_used_is_there() -> None:
    text = commands().replace("\\\n", " ")
    made = {*re.findall(r"service-accounts create ([\w-]+)", text)}
    accounts = dict(re.findall(r'(?m)^(\w+)="([\w-]+)@', text))
    assert made == {*accounts.values()}
    assert {*re.findall(r'--service-account="\$(\w+)"', text)} == accounts.keys()
    enabled = {
        name
        for names in re.findall(r"services enable (.*)", text)
        for name in re.findall(r"(\w+)\.googleapis\.com", names)
    }
    of = {"secrets": "secretmanager", "sql": "sqladmin", "artifacts": "artifactregistry"}
    of |= {"builds": "cloudbuild"}
    asked = {*re.findall(r"gcloud (\w+)", text)} - {
        "auth",
        "billing",
        "config",
        "projects",
        "services",
    }
    # Models, signing and the network are not asked by a command of their own.
    assert enabled - {"aiplatform", "iamcredentials", "compute"} == {of.get(x, x) for x in asked}
    kept = {*re.findall(r"secret (video-bot-[\w-]+)", text)}
    assert {*re.findall(r"=(video-bot-[\w-]+):latest", text)} == kept
