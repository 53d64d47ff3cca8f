"""Grading by rule: equal words, equal numbers, the same choice. It knows neither the database nor a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from functions.tutoring.numbers import Quantity, converted, is_close, readings

PASS_SCORE = 0.6
RIGHT = "Right."
WRONG = "Not right."
WRONG_UNIT = "The unit does not fit the question."
_QUOTES = "\"'\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019 "
UNREADABLE = "This could not be read as a number with a unit."


@dataclass(frozen=True)
class Key:
    """How an answer is graded.

    :param kind: text, exact, numeric or choice
    :param accepted: every right answer
    :param tolerance: of a number, in the unit of the first right answer
    :param language: two letters
    """

    kind: str
    accepted: Sequence[str]
    choices: Sequence[str] = ()
    tolerance: str | None = None
    language: str = "en"


class Grade(NamedTuple):
    """A score from 0 to 1, and a sentence about it."""

    score: float
    feedback: str


def grade(key: Key, answer: str) -> Grade | None:
    """What an answer is worth; None when only a reader can tell."""
    match key.kind:
        case "choice":
            return _graded(_choice(key, answer))
        case "numeric":
            return _number(key, answer)
        case "exact":
            return _graded(_is_same(key, answer))
        case _:
            return Grade(1.0, RIGHT) if _is_same(key, answer) else None


def _graded(is_right: bool) -> Grade:
    return Grade(1.0, RIGHT) if is_right else Grade(0.0, WRONG)


def plain(text: str) -> str:
    """A text without what does not matter: case, width of letters, blanks, invisible marks, the last full stop."""
    text = "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    text = " ".join(unicodedata.normalize("NFC", text.casefold()).split())
    return text.strip(_QUOTES).rstrip(".!?;: ").strip() or text


def _is_same(key: Key, answer: str) -> bool:
    given = plain(answer)
    return any(plain(right) == given for right in key.accepted)


def chosen(choices: Sequence[str], answer: str) -> int | None:
    """Which choice a text names, by its words or by its letter. Words come first: a choice may be a letter."""
    given = plain(answer)
    for place, choice in enumerate(choices):
        if plain(choice) == given:
            return place
    letter = re.fullmatch(r"\(?([a-z])\s*[).:]?", given)
    if letter is None:
        # "b) the second choice"
        letter = re.match(r"\(?([a-z])\s*[).:]\s*(?=\S)", given)
        if letter is None or chosen(choices, given[letter.end() :]) != ord(letter[1]) - ord("a"):
            return None
    place = ord(letter[1]) - ord("a")
    return place if place < len(choices) else None


def _choice(key: Key, answer: str) -> bool:
    given = chosen(key.choices, answer)
    return given is not None and given in {chosen(key.choices, right) for right in key.accepted}


def _number(key: Key, answer: str) -> Grade:
    rights = [right for text in key.accepted for right in readings(text, key.language)]
    tolerance = None if key.tolerance is None else Fraction(key.tolerance)
    given = list(readings(answer, key.language))
    fits = False
    for quantity in given:
        for right in rights:
            values = _in_unit(quantity, right)
            fits = fits or bool(values)
            if any(is_close(value, right.value, tolerance) for value in values):
                return Grade(1.0, RIGHT)
    if not given:
        # a key in words is compared as words
        return Grade(1.0, RIGHT) if _is_same(key, answer) else Grade(0.0, UNREADABLE)
    return Grade(0.0, WRONG if fits else WRONG_UNIT)


def _in_unit(quantity: Quantity, right: Quantity) -> list[Fraction]:
    """The values that an answer may have in the unit of the key."""
    if right.unit == "%" and not quantity.unit:
        # 25 and 0.25 for 25 %
        return [quantity.value, quantity.value * 100]
    value = converted(quantity, right.unit)
    return [] if value is None else [value]
