"""What others say, as an operator may read it: short, and without what a user wrote (LG2)."""

import re
from difflib import SequenceMatcher
from typing import Final

LONGEST: Final = 300
"""Characters."""
EXCERPT: Final = 50
"""Characters in a row of a prompt that may be shown."""

_QUOTATION: Final = re.compile(r"([\"'`])(?:(?!\1).){" + str(EXCERPT) + r",}\1", re.DOTALL)


def quoted(said: object, *private: str | None) -> str:
    """`said` in one line, without long quotations and without anything of `private`."""
    text = _QUOTATION.sub('"…"', " ".join(str(said).split()))
    text = without(text[: LONGEST * 4], *private)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def without(text: str, *private: str | None) -> str:
    """`text` without anything of `private` that is longer than an excerpt."""
    for each in private:
        text = _without(text, " ".join((each or "").split()))
    return text


def _without(text: str, private: str) -> str:
    """Cut out whatever the two have in common in a row, if it is more than an excerpt."""
    while True:
        found = SequenceMatcher(None, text, private, autojunk=False).find_longest_match()
        # A short prompt as a whole is no more than an excerpt either.
        if found.size <= EXCERPT:
            return text
        text = f"{text[: found.a]}…{text[found.a + found.size :]}"
