"""Quotes in a summary: each must stand in the transcript, or the sentence that has it goes."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from functions.shared.answers.citations import ENDS, normalized

# more are not looked for, and count as false
MAX_QUOTES = 50
PAIRS = (
    r"\u201c([^\u201c\u201d\n]*)\u201d",
    r"\u201e([^\u201e\u201c\u201d\n]*)[\u201c\u201d]",
    r"\u00ab([^\u00ab\u00bb\n]*)\u00bb",
    r"\u00bb([^\u00ab\u00bb\n]*)\u00ab",
    r'"([^"\n]*)"',
    r"\u2018((?:[^\u2018\u2019\n]|(?<=\w)\u2019(?=\w))*)\u2019",
    r"(?<!\w)'((?:[^'\n]|(?<=\w)'(?=\w))+)'(?!\w)",
)
WORD = re.compile(r"\w+|[^\w\s]")
QUOTE = re.compile("|".join(PAIRS))
# a mark without its partner: what it quotes cannot be told
LONE = re.compile('[\u201c\u201d\u201e\u00ab\u00bb"]')
END = re.compile(r"[.!?\u2026]+[\u201d\u201c\u00bb\u00ab\"'\u2019)]*(?=\s|$)|\n")


def without_false_quotes(text: str, transcript: str) -> tuple[str, int]:
    """The text without sentences that quote what was not said, and how many quotes were false.

    :param transcript: as :func:`words` gives it
    """
    ends, kept, at, false = [match.span() for match in END.finditer(text)], "", 0, 0
    begins, lasts = [begin for begin, _ in ends], [0, *(last for _, last in ends), len(text)]
    for number, (start, end) in enumerate(_quotes(text)):
        if number < MAX_QUOTES and _was_said(text[start:end], transcript):
            continue
        false += 1
        kept += text[at : lasts[bisect_right(lasts, start) - 1]]
        # the end of the sentence may stand within the quotation marks
        at = max(at, lasts[bisect_left(begins, max(start, end - 2)) + 1])
        if not kept or kept[-1].isspace():
            at += len(text[at:]) - len(text[at:].lstrip())
    return (kept + text[at:]).strip(), false


def _quotes(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for match in QUOTE.finditer(text):
        yield from (lone.span() for lone in LONE.finditer(text, at, match.start()))
        yield match.span()
        at = match.end()
    yield from (lone.span() for lone in LONE.finditer(text, at))


def words(text: str) -> str:
    """The words and signs of a text between single blanks, one before and one after, as quotes are compared."""
    return f" {' '.join(WORD.findall(normalized(text)))} "


def _was_said(quote: str, transcript: str) -> bool:
    wanted = words(normalized(quote).strip(ENDS))
    return bool(wanted.strip()) and wanted in transcript
