"""Finds the JSON object in a model's text, whatever the server or the model put around it."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Any, NamedTuple

from functions.shared.llm import repair
from functions.shared.llm.errors import InvalidResponse
from functions.shared.llm.latex import with_commands
from functions.shared.llm.thoughts import CLOSE, OPEN, behind_thoughts

FENCED = re.compile(r"```[a-z]*[ \t]*\r?\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
START = re.compile(r"\{(?=\s*+(?:[\"“”„'\u2018«}/#]|[A-Za-z_]\w{0,60}\s*+:))")
MAX_STARTS = 50
MAX_REPAIRS = 2
MAX_WRAPS = 3


class Found(NamedTuple):
    """An object within a text: its value, where it stands, and whether it had to be repaired."""

    value: dict[str, Any]
    start: int
    end: int
    is_repaired: bool


def parse(text: str, expected: Set[str]) -> tuple[dict[str, Any], str]:
    """The object in a text, and the step that found it: ``strict``, ``fence``, ``scan``, ``decoded_twice``, ``repair``.

    The last complete object behind the model's thoughts counts, because a model may correct a draft. A truncated text
    is not completed, so check the finish reason first. The strings are ready: LaTeX commands are put back.

    :param expected: keys of which the object must have one, to tell it from braces in prose
    :raise InvalidResponse: the text has no such object
    """
    text = behind_thoughts(text) or ""
    step = "strict"
    value = _loaded(text)
    if isinstance(value, str):
        step, value = "decoded_twice", _loaded(value)
    if isinstance(value, dict) and value.keys() & expected:
        return _ready(value), step
    fenced = FENCED.search(text)
    value = _loaded(fenced.group(1)) if fenced else None
    if isinstance(value, dict) and value.keys() & expected and not _has_marks(text, fenced):
        return _ready(value), "fence"
    best = _best(text, expected)
    if best is None:
        raise InvalidResponse()
    return _ready(best[0]), "repair" if best[1] else "scan"


def _best(text: str, expected: Set[str]) -> tuple[dict[str, Any], bool] | None:
    """The last object with the most expected keys behind the last mark of thoughts."""
    objects = _objects(text)
    begin = 0
    closing, opening = 0, -1
    for one in [*objects, None]:
        end = one.start if one else len(text)
        closing = max([closing, *(mark.end() for mark in CLOSE.finditer(text, begin, end))])
        opening = max([opening, *(mark.start() for mark in OPEN.finditer(text, begin, end))])
        begin = one.end if one else end
    if opening > closing:
        # the thoughts never ended
        return None
    found = [(value, one.is_repaired) for one in objects if one.start >= closing for value in _within(one.value)]
    fitting = [(value, is_repaired) for value, is_repaired in found if value.keys() & expected]
    # of those with equally many keys, the last
    return max(reversed(fitting), key=lambda one: len(one[0].keys() & expected), default=None)


def _objects(text: str) -> list[Found]:
    """The complete objects of a text in order, each read strictly where that is possible."""
    decoder = json.JSONDecoder(strict=False, parse_constant=_nothing)
    objects: list[Found] = []
    at = failed = repairs = 0
    while failed < MAX_STARTS and (start := START.search(text, at)):
        at = start.end()
        try:
            value, at = decoder.raw_decode(text, start.start())
            objects.append(Found(value, start.start(), at, False))
            continue
        except (ValueError, RecursionError):
            failed += 1
        if repairs < MAX_REPAIRS:
            try:
                value, at = repair.read_object(text, start.start())
                objects.append(Found(value, start.start(), at, True))
            except repair.Unreadable:
                repairs += 1
    return objects


def _within(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    """An object, and those that a model wrapped in it."""
    if depth > MAX_WRAPS:
        return []
    if isinstance(value, dict):
        return [value, *(one for part in value.values() for one in _within(part, depth + 1))]
    return [one for part in value for one in _within(part, depth + 1)] if isinstance(value, list) else []


def _has_marks(text: str, fenced: re.Match[str] | None) -> bool:
    """Whether marks of thoughts, or other objects, stand beside a fence."""
    beside = text if fenced is None else text[: fenced.start()] + text[fenced.end() :]
    return any(pattern.search(beside) for pattern in (OPEN, CLOSE, START))


def _ready(value: Any) -> Any:
    """A value with commands put back in all its strings, and without what no database stores."""
    if isinstance(value, str):
        return with_commands(value).replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_ready(part) for part in value]
    return {key: _ready(part) for key, part in value.items()} if isinstance(value, dict) else value


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_constant=_nothing)
    except (ValueError, RecursionError):
        return None


def _nothing(constant: str) -> None:
    """NaN and Infinity are not JSON, and Postgres cannot store them; other writers say null."""
