"""Reads one JSON object that was written with mistakes, and refuses what could mean two things.

Mistakes that are understood: a comma before a closing bracket, comments, words of Python, other quotation marks, line
breaks and invalid escapes in strings, quotation marks in strings, a missing last brace. The time is linear.
"""

from __future__ import annotations

import re
from typing import Any

MAX_DEPTH = 40
SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|#[^\n]*)+", re.DOTALL)
NUMBER = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?")
WORD = re.compile(r"-?[A-Za-z]{1,12}")
BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,60}")
WORDS: dict[str, Any] = {
    "true": True, "True": True, "false": False, "False": False, "null": None, "None": None, "undefined": None,
    "NaN": None, "nan": None, "Infinity": None, "-Infinity": None,
}  # fmt: skip
# which marks close a string that this one opened
CLOSERS = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“”", "\u2018": "\u2019", "«": "»"}
AFTER_KEY = re.compile(r"\s*+:")
AFTER_MEMBER = re.compile(r"\s*+(?:\Z|[}\]]|,\s*+(?:[}\"“„'\u2018«/#]|[A-Za-z_]\w{0,60}\s*:))")
AFTER_ELEMENT = re.compile(
    r"\s*+(?:\Z|\]|,\s*+(?:[\"“„'\u2018«/#\]\[{]|-?\d|true\b|false\b|null\b|True\b|False\b|None\b))"
)
# behind a comma in an object stands a key
KEY_AHEAD = re.compile(r"\s*+,\s*+(?:[\"“„'\u2018«])")
KEY = re.compile(r"\s*+,\s*+[\"“„'\u2018«][^\"“”„'\u2018\u2019«»\n]{1,80}[\"”“'\u2019»]\s*:")
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.|\Z)", re.DOTALL)
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "'": "'"}


class Unreadable(ValueError):
    """The text is no such object, or might be several."""


def read_object(text: str, start: int) -> tuple[dict[str, Any], int]:
    """The object that begins at an index, and the index behind it.

    :raise Unreadable: it cannot be read with certainty
    """
    reader = _Reader(text, start)
    value = reader.object(1)
    return value, reader.at


def decoded(text: str) -> str:
    """The characters of a JSON string. A backslash before a character that has no escape stays."""

    def character(match: re.Match[str]) -> str:
        found = match.group(1)
        if len(found) == 5:
            return chr(int(found[1:], 16))
        return ESCAPES.get(found, match.group())

    pairs = ESCAPE.sub(character, text)
    # the halves of a pair become one character
    return pairs.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Reader:
    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start

    def skip(self) -> None:
        space = SPACE.match(self.text, self.at)
        if space is not None:
            self.at = space.end()

    def peek(self) -> str:
        self.skip()
        return self.text[self.at : self.at + 1]

    def value(self, depth: int, after: re.Pattern[str]) -> Any:
        first = self.peek()
        if depth > MAX_DEPTH or not first:
            raise Unreadable
        if first == "{":
            return self.object(depth)
        if first == "[":
            return self.array(depth)
        if first in CLOSERS:
            return self.string(after)
        number = NUMBER.match(self.text, self.at)
        if number is not None:
            self.at = number.end()
            digits = number.group()
            return int(digits) if digits.lstrip("-").isdigit() else float(digits)
        word = WORD.match(self.text, self.at)
        if word is None or word.group() not in WORDS:
            raise Unreadable
        self.at = word.end()
        return WORDS[word.group()]

    def object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.at += 1
        while True:
            first = self.peek()
            if first == "}":
                self.at += 1
                return found
            if first in CLOSERS and first:
                key = self.string(AFTER_KEY)
            else:
                bare = BARE_KEY.match(self.text, self.at)
                if bare is None:
                    raise Unreadable
                key, self.at = bare.group(), bare.end()
            if self.peek() != ":" or key in found:
                raise Unreadable
            self.at += 1
            found[key] = self.value(depth + 1, AFTER_MEMBER)
            match self.peek():
                case ",":
                    self.at += 1
                case "}":
                    continue
                case "" if depth == 1:
                    # only the last brace is missing
                    return found
                case _:
                    raise Unreadable

    def array(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self.at += 1
        while True:
            if self.peek() == "]":
                self.at += 1
                return found
            found.append(self.value(depth + 1, AFTER_ELEMENT))
            match self.peek():
                case ",":
                    self.at += 1
                case "]":
                    continue
                case _:
                    raise Unreadable

    def string(self, after: re.Pattern[str]) -> str:
        """A string ends at a mark behind which the object goes on; other such marks belong to the text."""
        closers = CLOSERS[self.text[self.at]]
        begin = self.at + 1
        marks = re.compile(rf"\\.|[{closers}]", re.DOTALL)
        inner = 0
        for mark in marks.finditer(self.text, begin):
            if len(mark.group()) == 2:
                continue
            if self._ends(mark.end(), after):
                if inner % 2:
                    # which of the marks are a pair cannot be told
                    raise Unreadable
                self.at = mark.end()
                return decoded(self.text[begin : mark.start()])
            inner += closers != "'"
        raise Unreadable

    def _ends(self, at: int, after: re.Pattern[str]) -> bool:
        if after.match(self.text, at) is None:
            return False
        if after is AFTER_MEMBER and KEY_AHEAD.match(self.text, at):
            return KEY.match(self.text, at) is not None
        return True
