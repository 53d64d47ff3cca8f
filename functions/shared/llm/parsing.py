"""JSON out of a model's text: what servers and models do to it, undone step by step (ai facts 8.3)."""

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
    """The object in a text, and by which step it was found: ``strict``, ``fence``, ``scan`` or ``decoded_twice``.

    Check the finish reason before: a truncated text is never repaired here.

    :param expected: keys of which the object must have one; braces in prose have none
    :raise InvalidResponse: there is no such object
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
    """NaN and Infinity are no JSON, and Postgres takes neither."""
    raise ValueError(constant)


def without_thoughts(text: str) -> str:
    """The text behind a leading block of reasoning that some servers leave in the content."""
    stripped = text.lstrip()
    if not stripped.startswith(THINK_OPEN):
        return text
    _, closed, rest = stripped.partition(THINK_CLOSE)
    return rest if closed else ""


class FieldStream:
    """Follows a JSON object as it arrives and gives out one top-level string field while it is still being written."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._head = ""
        self._begun = False
        self._depth = 0
        self._expects_key = False
        self._key = ""
        self._string: list[str] | None = None  # the characters of the string we are in
        self._is_key = False
        self._wanted = False
        self._escape = ""
        self._surrogate = ""
        self.complete = False

    def feed(self, text: str) -> str:
        """What the field grew by."""
        if not self._begun:
            text = self._beginning(text)
        grown: list[str] = []
        for character in text:
            if self.complete:
                break
            self._step(character, grown)
        return "".join(grown)

    def _beginning(self, text: str) -> str:
        """Drops what stands before the object: thoughts, a fence, a sentence."""
        self._head += text
        head = self._head.lstrip()
        if THINK_OPEN.startswith(head[: len(THINK_OPEN)]):
            head = without_thoughts(head) if len(head) >= len(THINK_OPEN) else ""
        # the object itself, not a brace in prose: a key follows
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
