"""Blocked words: whole words, however they are dressed up."""

import pytest

from bot.blocking import blocked_word


@pytest.mark.parametrize(
    "prompt",
    [
        "a bad day",
        "BAD!",
        "so-bad-it-hurts",
        "\uff42\uff41\uff44",
        "\U0001d41b\U0001d41a\U0001d41d",
        "b\u200bad",
        "b\u0301ad",
        "bäd",
        "_bad_",
        "\u24b7\u24d0\u24d3",
    ],
)
def test_it_is_found(prompt: str) -> None:
    assert blocked_word(prompt, ["good", "bad"]) == "bad"


@pytest.mark.parametrize("prompt", ["badge", "a forbad", "b a d", "", "bad2"])
def test_it_is_a_whole_word_or_nothing(prompt: str) -> None:
    assert blocked_word(prompt, ["bad"]) is None


def test_several_words_stand_together_whatever_is_between_them() -> None:
    assert blocked_word("the Very\n  BAD thing", ["very bad"]) == "very bad"
    assert blocked_word("very good, bad", ["very bad"]) is None


def test_case_and_accents_of_the_list_do_not_matter_either() -> None:
    assert blocked_word("strasse", ["STRAßE"]) == "STRAßE"


def test_a_list_of_nothing_blocks_nothing() -> None:
    assert blocked_word("anything", ["", " ", "!"]) is None
