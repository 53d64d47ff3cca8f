"""Keeps what is true of a model's findings: the file is there, and the quote stands in it.

A quote is looked for as it is, then with other spaces between its words. When it stands at other lines than the model
says, but only there, the lines are put right. Everything else that does not fit the repository is dropped.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple, TypedDict

from functions.programme.reviews.secret_scan import MASK
from functions.programme.reviews.shapes import SEVERITIES, Said
from functions.shared.markup.markdown import safe_markdown
from functions.shared.markup.text import visible

MAX_FINDINGS = 200
MAX_QUOTE_CHARACTERS = 1000
MAX_MESSAGE_CHARACTERS = 2000
MAX_RANGE_LINES = 200
# a quote of less says nothing about a place
MIN_QUOTE_LETTERS = 3
MAX_PLACES = 1000
LINE_MARK = re.compile(r"^ {0,8}\d+\| ?", re.MULTILINE)
WORD = re.compile(r"\S+")


class Finding(TypedDict):
    """A finding as it is stored in ``result_json``. Lines count from 1, and both ends belong to it."""

    severity: str
    category: str
    file: str
    line_start: int
    line_end: int
    quote: str
    message: str
    suggestion: str


class Span(NamedTuple):
    """Where a quote stands: lines and the text itself."""

    line_start: int
    line_end: int
    text: str


def verified(said: Iterable[Said], read: Callable[[str], str | None]) -> tuple[list[Finding], int]:
    """The findings that fit the repository, each once, the gravest first; and how many were dropped.

    :param read: the text of a file by its path, with secrets masked; None when there is no such text
    """
    kept: dict[tuple[Any, ...], Finding] = {}
    dropped = 0
    for one in said:
        finding = verify(one, read)
        if finding is None:
            dropped += 1
            continue
        kept.setdefault((finding["file"], finding["line_start"], finding["quote"], finding["category"]), finding)
    return sorted(kept.values(), key=order)[:MAX_FINDINGS], dropped


def verify(said: Said, read: Callable[[str], str | None]) -> Finding | None:
    """One finding with its lines put right; None when it does not fit the repository."""
    path = said.file.strip().removeprefix("./").removeprefix("/")
    text, message = read(path), prose(said.message)
    quote = said.quote.strip("\n")[:MAX_QUOTE_CHARACTERS]
    if text is None or not message or not _is_enough(quote):
        return None
    spans = places(text, quote)
    if not spans:
        bare = LINE_MARK.sub("", quote)
        spans = places(text, bare) if bare != quote and _is_enough(bare) else []
    first, last = said.line_start, said.line_end
    lines = text.count("\n") + (not text.endswith("\n"))
    within = [span for span in spans if first <= span.line_start and span.line_end <= last]
    if 1 <= first <= last <= lines and last - first < MAX_RANGE_LINES and within:
        span = within[0]
    elif len(spans) == 1:
        span = spans[0]
        first, last = span.line_start, span.line_end
    else:
        # it is not there, or at several places of which none is meant
        return None
    return Finding(
        severity=said.severity,
        category=said.category,
        file=path,
        line_start=first,
        line_end=last,
        quote=span.text,
        message=message,
        suggestion=prose(said.suggestion),
    )


def places(text: str, quote: str) -> list[Span]:
    """Where a quote stands in a text: exactly, or else with other spaces between its words."""
    if MASK in quote or not quote.strip():
        return []
    # also where they overlap: the place that is meant may begin inside of another one
    exact = re.escape(quote)
    lenient = r"\s{1,200}".join(re.escape(word) for word in WORD.findall(quote))
    spans: list[tuple[int, int]] = []
    for pattern in (exact, lenient):
        spans = spans or [match.span(1) for match in islice(re.finditer(f"(?=({pattern}))", text), MAX_PLACES)]
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found = []
    for start, end in spans:
        # a quote that begins in the middle of a word is part of something else
        if not (_is_edge(text, start) and _is_edge(text, end)):
            continue
        # blanks around it may reach into other lines
        inner = text[start:end]
        start += len(inner) - len(inner.lstrip())
        end -= len(inner) - len(inner.rstrip())
        found.append(Span(bisect_right(starts, start), bisect_right(starts, end - 1), text[start:end]))
    return found


def _is_edge(text: str, at: int) -> bool:
    """Whether no word or number goes on across this position."""
    return not (0 < at < len(text) and _is_letter(text[at - 1]) and _is_letter(text[at]))


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_enough(quote: str) -> bool:
    return sum(character.isalnum() for character in quote) >= MIN_QUOTE_LETTERS


def prose(text: str, most: int = MAX_MESSAGE_CHARACTERS) -> str:
    """What a model wrote, safe to show as Markdown: without HTML, pictures and hidden characters."""
    return safe_markdown(visible(text.replace(MASK, "(masked)")).strip()[:most]).strip()


def order(finding: Mapping[str, Any]) -> tuple[int, str, int]:
    """The gravest first, then by file and line."""
    return SEVERITIES.index(finding["severity"]), finding["file"], finding["line_start"]
