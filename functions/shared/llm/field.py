"""Reads one field of a JSON object while the object still arrives."""

from __future__ import annotations

import re

from functions.shared.llm.latex import LatexStream
from functions.shared.llm.thoughts import behind_thoughts

ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# a key follows the brace of the object, and nothing but a fence stands before it
BEGIN = re.compile(r"(?:```[a-z]*\s*)?(?=\{\s*\")", re.IGNORECASE)
HEX = frozenset("0123456789abcdefABCDEF")


class FieldStream:
    """Reads one top-level string field of a JSON object.

    Anything else before the object may be thoughts that go on, with a draft of the object in them. Then the field does
    not grow, and the caller reads the whole text at its end.
    """

    def __init__(self, field: str) -> None:
        self._field = field
        self._head: list[str] = []
        self._size = 0
        self._next_look = 0
        self._begun = False
        self._latex = LatexStream()
        self._depth = 0
        self._expects_key = False
        self._key = ""
        self._string: list[str] | None = None  # the characters of the current string
        self._is_key = False
        self._wanted = False
        self._escape = ""
        self._surrogate = ""
        self._grown: list[str] = []
        self.complete = False

    @property
    def text(self) -> str:
        """The field so far."""
        return "".join(self._grown)

    def feed(self, text: str) -> str:
        """The text by which the field grew."""
        if not self._begun:
            text = self._beginning(text)
        grown: list[str] = []
        for character in text:
            if self.complete:
                break
            self._step(character, grown)
        new = self._latex.feed("".join(grown)) if grown else ""
        if self.complete:
            new += self._latex.finish()
        self._grown.append(new)
        return new

    def _beginning(self, text: str) -> str:
        """The text from the object on, once nothing but marked thoughts or a fence stands before it."""
        self._head.append(text)
        self._size += len(text)
        if self._size < self._next_look:
            # looking at all of it for each word would be quadratic
            return ""
        self._next_look = self._size * 5 // 4 if self._size > 1000 else 0
        rest = behind_thoughts("".join(self._head))
        begin = None if rest is None else BEGIN.match(rest)
        if rest is None or begin is None:
            return ""
        self._begun = True
        self._head.clear()
        return rest[begin.end() :]

    def _step(self, character: str, grown: list[str]) -> None:
        if self._string is None:
            self._outside(character)
        elif self._escape:
            self._escaped(character, grown)
        elif character == "\\":
            self._escape = "\\"
        elif character == '"':
            self._close()
        else:
            self._put(character, grown)

    def _outside(self, character: str) -> None:
        match character:
            case "{" | "[":
                self._depth += 1
                self._expects_key = character == "{" and self._depth == 1
            case "}" | "]":
                self._depth -= 1
            case "," if self._depth == 1:
                self._expects_key = True
            case '"':
                self._string = []
                self._is_key = self._depth == 1 and self._expects_key
                self._wanted = self._depth == 1 and not self._is_key and self._key == self._field

    def _close(self) -> None:
        if self._is_key:
            self._key = "".join(self._string or [])
            self._expects_key = False
        elif self._wanted:
            self.complete = True
        self._string = None
        self._surrogate = ""

    def _escaped(self, character: str, grown: list[str]) -> None:
        if self._escape == "\\" and character != "u":
            # what has no escape was meant as it stands
            self._put(ESCAPES.get(character, f"\\{character}"), grown)
            self._escape = ""
            return
        if self._escape != "\\" and character not in HEX:
            # no number follows, so it was no escape
            text, self._escape = self._escape, ""
            self._put(text, grown)
            self._step(character, grown)
            return
        self._escape += character
        if len(self._escape) == 6:
            unit, self._escape = chr(int(self._escape[2:], 16)), ""
            if "\ud800" <= unit <= "\udbff":
                self._surrogate = unit
            elif "\udc00" <= unit <= "\udfff":
                pair, self._surrogate = self._surrogate + unit, ""
                if len(pair) == 2:
                    self._put(pair.encode("utf-16", "surrogatepass").decode("utf-16"), grown)
            else:
                self._put(unit, grown)

    def _put(self, text: str, grown: list[str]) -> None:
        self._surrogate = ""
        if self._is_key and self._string is not None:
            self._string.append(text)
        elif self._wanted:
            grown.append(text)
