"""Finds the JSON object in a model's text, whatever the server or the model put around it."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Any

from functions.shared.llm.errors import InvalidResponse

FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def parse(text: str, expected: Set[str]) -> tuple[dict[str, Any], str]:
    """The object in a text, and the step that found it: ``strict``, ``fence``, ``scan`` or ``decoded_twice``.

    A truncated text is not repaired, so check the finish reason first.

    :param expected: keys of which the object must have one, to tell it from braces in prose
    :raise InvalidResponse: the text has no such object
    """
    text = without_thoughts(text).strip().removeprefix("\ufeff").strip()
    fenced = FENCE.search(text)
    for step, candidate in (("strict", text), ("fence", fenced.group(1) if fenced else None)):
        if candidate is not None:
            value = _loaded(candidate)
            if isinstance(value, str):
                step, value = "decoded_twice", _loaded(value)
            if isinstance(value, dict) and value.keys() & expected:
                return value, step
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse)
    for match in re.finditer(r"\{", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.keys() & expected:
            return value, "scan"
    raise InvalidResponse()


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    """NaN and Infinity are not JSON, and Postgres cannot store them."""
    raise ValueError(constant)


def without_thoughts(text: str) -> str:
    """The text after a leading block of reasoning, which some servers leave in the content."""
    stripped = text.lstrip()
    if not stripped.startswith(THINK_OPEN):
        return text
    _, closed, rest = stripped.partition(THINK_CLOSE)
    return rest if closed else ""


class FieldStream:
    """Reads one top-level string field of a JSON object while the object still arrives."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._head = ""
        self._begun = False
        self._depth = 0
        self._expects_key = False
        self._key = ""
        self._string: list[str] | None = None  # the characters of the current string
        self._is_key = False
        self._wanted = False
        self._escape = ""
        self._surrogate = ""
        self.complete = False

    def feed(self, text: str) -> str:
        """The text by which the field grew."""
        if not self._begun:
            text = self._beginning(text)
        grown: list[str] = []
        for character in text:
            if self.complete:
                break
            self._step(character, grown)
        return "".join(grown)

    def _beginning(self, text: str) -> str:
        """Drops what comes before the object: reasoning, a fence, a sentence."""
        self._head += text
        head = self._head.lstrip()
        if THINK_OPEN.startswith(head[: len(THINK_OPEN)]):
            head = without_thoughts(head) if len(head) >= len(THINK_OPEN) else ""
        # a key follows the brace of the object, and not a brace in prose
        begin = re.search(r"\{(?=\s*\")", head)
        if begin is None:
            return ""
        self._begun = True
        return head[begin.start() :]

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
        self._escape += character
        if self._escape[1] != "u":
            self._put(ESCAPES.get(character, character), grown)
            self._escape = ""
        elif len(self._escape) == 6:
            try:
                unit = chr(int(self._escape[2:], 16))
            except ValueError:
                unit = ""
            self._escape = ""
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
