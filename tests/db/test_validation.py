"""RT1, DC1: what may be asked for, and the sentence for what may not."""

from typing import Any

import pytest

from db.validation import InvalidRequest, validate
from tests.db.rows import new_request


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "waves"},
        {"prompt": "w" * 600},
        {"prompt": "🌊" * 5},
        {"prompt": "👩‍👩‍👧‍👦 at sea"},
        {"prompt": "موجة في البحر"},
        {"prompt": "\u202eright to left\u202c"},
        {"prompt": "one line\nand another\r\n\tof it"},
        {"duration_seconds": 6, "aspect_ratio": "9:16", "resolution": "1080p"},
        {"duration_seconds": 8, "generate_audio": False},
        {"guild_id": "dm", "channel_id": "12345678901234567890"},
        {"guild_id": "cli", "channel_id": "cli", "user_id": "cli"},
        {"user_id": "u" * 100},
        {"negative_prompt": "x", "seed": 0},
        {"negative_prompt": "no people,\n" * 50, "seed": 4_294_967_295},
    ],
)
def test_what_may_be_asked_for(changes: dict[str, Any]) -> None:
    validate(new_request(**changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": ""}, "The prompt must have 5 to 600 characters; this one has 0."),
        ({"prompt": "wave"}, "The prompt must have 5 to 600 characters; this one has 4."),
        ({"prompt": "🌊" * 4}, "The prompt must have 5 to 600 characters; this one has 4."),
        ({"prompt": "w" * 601}, "The prompt must have 5 to 600 characters; this one has 601."),
        ({"prompt": " " * 20}, "The prompt must have 5 to 600 characters; this one has 0."),
        ({"prompt": "\u2003\n\t"}, "The prompt must have 5 to 600 characters; this one has 0."),
        ({"prompt": "   wave   "}, "The prompt must have 5 to 600 characters; this one has 4."),
        (
            {"prompt": "waves\0"},
            "The prompt must be plain text; character 6 of it (U+0000) cannot be written.",
        ),
        (
            {"prompt": "wa\ud83cves"},
            "The prompt must be plain text; character 3 of it (U+D83C) cannot be written.",
        ),
        (
            {"prompt": "waves \x1b[31mred"},
            "The prompt must be plain text; character 7 of it (U+001B) cannot be written.",
        ),
        ({"duration_seconds": 5}, "The duration must be 4, 6 or 8 seconds, not 5."),
        ({"duration_seconds": -4}, "The duration must be 4, 6 or 8 seconds, not -4."),
        ({"aspect_ratio": "16:10"}, "The aspect ratio must be 16:9 or 9:16, not 16:10."),
        ({"resolution": "4K"}, "The resolution must be 720p or 1080p, not 4K."),
        ({"resolution": "720P"}, "The resolution must be 720p or 1080p, not 720P."),
        ({"user_id": ""}, "The user must have 1 to 100 characters; this one has 0."),
        ({"guild_id": "  "}, "The guild must have 1 to 100 characters; this one has 0."),
        ({"channel_id": "c" * 101}, "The channel must have 1 to 100 characters; this one has 101."),
        (
            {"negative_prompt": "n" * 601},
            "The negative prompt must have 1 to 600 characters; this one has 601.",
        ),
        (
            {"negative_prompt": " \n"},
            "The negative prompt must have 1 to 600 characters; this one has 0.",
        ),
        (
            {"negative_prompt": "rain\x1b[31m"},
            "The negative prompt must be plain text; character 5 of it (U+001B) cannot be written.",
        ),
        (
            {"seed": 4_294_967_296},
            "The seed must be a whole number from 0 to 4294967295, not 4294967296.",
        ),
        ({"seed": -1}, "The seed must be a whole number from 0 to 4294967295, not -1."),
        (
            {"user_id": "al\0ice"},
            "The user must be plain text; character 3 of it (U+0000) cannot be written.",
        ),
    ],
)
def test_what_may_not_is_told_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate(new_request(**changes))
    assert str(caught.value) == sentence


def test_every_problem_is_told_at_once() -> None:
    wrong = new_request(prompt="wave", duration_seconds=5, aspect_ratio="1:1", resolution="8K")
    with pytest.raises(InvalidRequest) as caught:
        validate(wrong)
    assert str(caught.value) == (
        "The prompt must have 5 to 600 characters; this one has 4. "
        "The duration must be 4, 6 or 8 seconds, not 5. "
        "The aspect ratio must be 16:9 or 9:16, not 1:1. "
        "The resolution must be 720p or 1080p, not 8K."
    )


@pytest.mark.parametrize("value", ["\ud800", "x" * 1000, "\x1b[2J"])
def test_the_sentence_can_be_written_whatever_was_asked_for(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate(new_request(resolution=value))
    sentence = str(caught.value)
    sentence.encode()
    assert len(sentence) < 120
    assert sentence.isprintable()
