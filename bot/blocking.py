"""Words that no prompt may hold, found however they are dressed up."""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"\w+")


def blocked_word(prompt: str, blocked: Iterable[str]) -> str | None:
    """The first of `blocked` that stands in the prompt as a whole word, or as whole words."""
    there = f" {_normal(prompt)} "
    for each in blocked:
        wanted = _normal(each)
        if wanted and f" {wanted} " in there:
            return each
    return None


def _normal(text: str) -> str:
    """The words of `text`, in one form for all ways to write them.

    Compatibility forms (full width, bold, circled) become plain letters, capitals small ones;
    accents and what cannot be seen go.
    """
    # Twice: what casefolding makes can hold marks of its own.
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(each for each in letters if unicodedata.category(each) not in ("Mn", "Me", "Cf"))
    return " ".join(_WORD.findall(seen.replace("_", " ")))
