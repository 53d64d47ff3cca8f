"""Sources that an answer may quote, and whether it quotes them truly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIN_QUOTE_CHARACTERS = 8
# of scripts without spaces, which say more in a character
MIN_DENSE_QUOTE_CHARACTERS = 4
SAME = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u02bc`\u00b4'\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        "\u00ad": None,
        "*": None,
        "_": None,
    }
)
ENDS = " \t\n.,;:!?\"'()[]-\u2026"
SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Passage:
    """A piece of a source that the model reads under a number.

    :param source: what the row's citations keep of it: its id, kind and title
    """

    number: int
    title: str
    text: str
    source: Mapping[str, Any]
    url: str | None = None
    media_type: str = "text/plain"


def normalized(text: str) -> str:
    """The text as quotes are compared: without case, emphasis, kinds of quotation marks, dashes and spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(SAME)
    return SPACE.sub(" ", folded).strip()


def is_verbatim(quote: str, text: str) -> bool:
    """Whether a quote stands in the text word for word. A very short one stands in any text and is none."""
    wanted = normalized(quote).strip(ENDS)
    least = MIN_QUOTE_CHARACTERS if wanted.isascii() else MIN_DENSE_QUOTE_CHARACTERS
    if len(wanted) < least:
        return False
    found = normalized(text)
    start = found.find(wanted)
    while start >= 0:
        before, after = found[start - 1 : start], found[start + len(wanted) : start + len(wanted) + 1]
        # a quote does not begin or end within a word, in scripts that have spaces
        if not (_joins(before, wanted[0]) or _joins(wanted[-1], after)):
            return True
        start = found.find(wanted, start + 1)
    return False


def _joins(one: str, other: str) -> bool:
    return bool(one and other) and one.isascii() and other.isascii() and one.isalnum() and other.isalnum()
