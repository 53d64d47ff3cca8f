"""Checks of practice that a model wrote. It knows neither the database nor a model.

A question passes when its form is right, its quote stands in the source, it is not open already, it hands over no open
assignment, and a second answer, derived without the key, is right under the rules that grade students.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, Literal

from pydantic import BaseModel, Field

from functions.shared.answers.citations import Passage, is_verbatim
from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.shared.leaks.solutions import read_description
from functions.shared.leaks.words import folded, language_of
from functions.shared.markup.text import visible
from functions.tutoring.grading import Key, chosen, grade, plain
from functions.tutoring.numbers import readings
from functions.tutoring.questions.guarding import is_about, stems

Reason = Literal[
    "malformed",
    "level",
    "same_choices",
    "no_key",
    "given_away",
    "quote",
    "duplicate",
    "open_assignment",
    "not_derived",
    "two_right",
    "wrong_key",
]
KINDS = ("text", "exact", "numeric", "choice")
MAX_QUESTION_CHARACTERS = 2000
# shorter than an essay, so that no answer is a finished one
MAX_ANSWER_CHARACTERS = 600
MAX_EXPLANATION_CHARACTERS = 1000
MAX_CHOICE_CHARACTERS = 500
MAX_TOPIC_CHARACTERS = 200
MAX_TOPICS = 5
MAX_ACCEPTED = 10
MIN_CHOICES, MAX_CHOICES = 2, 8
MIN_LEVEL, MAX_LEVEL = 1, 10
# how far a question may be from the level that was wished
MAX_LEVEL_DISTANCE = 2
MIN_GIVEN_CHARACTERS = 3
# a question that has so much of a sentence that asks, in an open assignment, is that assignment
ASKED_SHARE = 0.8
MIN_ASKED_STEMS = 3
SENTENCE = re.compile(r"(?<=[.!?;:\u3002\uff01\uff1f])\s+|\n+")
WORD = re.compile(r"[^\W_]+")
LANGUAGE = re.compile(r"[a-z]{2}")
NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?")


class Item(BaseModel):
    """A question as the model writes it. Wrong values are dropped one by one, so the schema takes nearly anything."""

    question: str
    kind: str
    choices: list[str]
    answer: str
    accepted: list[str]
    tolerance: str
    explanation: str
    level: int
    topics: list[str]
    source: int
    quote: str


class Deck(BaseModel):
    """What the model answers when it writes."""

    language: str
    items: list[Item] = Field(min_length=1)


class Derived(BaseModel):
    """A second answer to one question."""

    number: int
    is_answerable: bool
    answer: str
    right_choices: list[int]


class Derivations(BaseModel):
    """What the model answers when it is asked the questions."""

    answers: list[Derived]


class Dropped(Exception):
    """A question fails a check; ``reason`` says which."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Candidate:
    """A question whose form is right.

    :param level: 1 to 10
    :param passage: the fragment that it cites, if it was made of sources
    """

    question: str
    key: Key
    explanation: str | None
    level: int
    topics: list[str]
    passage: Passage | None = None
    quote: str = ""

    def row(self) -> dict[str, Any]:
        """As ``svc_store_practice_items`` takes it."""
        key = self.key
        return {
            "question_text": self.question,
            "answer_kind": key.kind,
            "choices": list(key.choices) or None,
            "tolerance": key.tolerance,
            "language": key.language,
            "difficulty_level": self.level,
            "topic_tags": self.topics,
            "answer_text": key.accepted[0],
            "accepted_answers": list(key.accepted[1:]),
            "explanation": self.explanation,
            "citations": [] if self.passage is None else [{**self.passage.source, "quote": self.quote}],
        }


def candidate(item: Item, language: str, wished_level: int | None, passages: Sequence[Passage] | None) -> Candidate:
    """A question whose form is right, out of what the model wrote.

    :param language: two letters
    :param passages: the fragments it may cite, and must cite one of; None without sources
    :raise Dropped: the form is wrong, or the quote does not stand in the fragment
    """
    question, answer = _clean(item.question), _clean(item.answer)
    explanation = _clean(item.explanation)
    sizes = (
        (question, MAX_QUESTION_CHARACTERS),
        (answer, MAX_ANSWER_CHARACTERS),
        (explanation or "-", MAX_EXPLANATION_CHARACTERS),
    )
    if item.kind not in KINDS or not all(0 < len(text) <= most for text, most in sizes):
        raise Dropped("malformed")
    is_near = wished_level is None or abs(item.level - wished_level) <= MAX_LEVEL_DISTANCE
    if not (MIN_LEVEL <= item.level <= MAX_LEVEL and is_near):
        raise Dropped("level")
    key = _key(item, answer, language)
    if key.kind in ("exact", "text") and _gives_away(question, key):
        raise Dropped("given_away")
    topics = [topic for topic in map(_line, item.topics) if 0 < len(topic) <= MAX_TOPIC_CHARACTERS]
    passage = None
    if passages is not None:
        passage = next((one for one in passages if one.number == item.source), None)
        if passage is None or not is_verbatim(item.quote, passage.text):
            raise Dropped("quote")
    return Candidate(question, key, explanation or None, item.level, topics[:MAX_TOPICS], passage, _line(item.quote))


def _clean(text: str) -> str:
    return visible(text).strip()


def _line(text: str) -> str:
    return " ".join(visible(text).split())


def _key(item: Item, answer: str, language: str) -> Key:
    accepted = [answer, *(text for text in map(_clean, item.accepted[:MAX_ACCEPTED]) if text)]
    if any(len(text) > MAX_ANSWER_CHARACTERS for text in accepted):
        raise Dropped("malformed")
    if item.kind == "choice":
        choices = [_line(choice) for choice in item.choices]
        if not MIN_CHOICES <= len(choices) <= MAX_CHOICES or not all(
            0 < len(choice) <= MAX_CHOICE_CHARACTERS for choice in choices
        ):
            raise Dropped("malformed")
        if any(_is_same(one, other, language) for one, other in combinations(choices, 2)):
            raise Dropped("same_choices")
        place = chosen(choices, answer)
        if place is None:
            raise Dropped("no_key")
        return Key("choice", [choices[place]], choices, language=language)
    if item.kind != "numeric":
        return Key(item.kind, accepted, language=language)
    if not all(any(readings(text, language)) for text in accepted):
        raise Dropped("no_key")
    tolerance = item.tolerance.strip()
    if tolerance and not NUMBER.fullmatch(tolerance):
        raise Dropped("malformed")
    # a tolerance as large as the number would let anything pass
    value = next(readings(answer, language)).value
    if tolerance and Fraction(tolerance) > abs(value) / 10:
        raise Dropped("malformed")
    return Key("numeric", accepted, tolerance=tolerance or None, language=language)


def _is_same(one: str, other: str, language: str) -> bool:
    """Whether two choices say the same: the same words, or the same number."""
    if plain(one) == plain(other):
        return True
    if not any(readings(one, language)) or not any(readings(other, language)):
        return False
    found = grade(Key("numeric", [one], language=language), other)
    return found is not None and found.score == 1


def _gives_away(question: str, key: Key) -> bool:
    """Whether a right answer stands in the question."""
    said = words(question)
    return any(len(right := words(text)) >= MIN_GIVEN_CHARACTERS + 2 and right in said for text in key.accepted)


def words(text: str) -> str:
    """The words of a text between single blanks, one before and one after, as questions are compared."""
    return f" {' '.join(WORD.findall(plain(text)))} "


def disagreement(one: Candidate, derived: Derived | None) -> Reason | None:
    """Why a second answer does not confirm the key; None when it does, or when only a reader can tell.

    A reader is needed for words that differ from the key: see :func:`needs_reader`.
    """
    if derived is None or not derived.is_answerable:
        return "not_derived"
    if one.key.kind == "choice":
        right = {number for number in derived.right_choices if 1 <= number <= len(one.key.choices)}
        if len(right) > 1:
            return "two_right"
        place = chosen(one.key.choices, one.key.accepted[0])
        return None if right == {(place or 0) + 1} else "wrong_key"
    if not derived.answer.strip():
        return "not_derived"
    found = grade(one.key, derived.answer)
    return None if found is None or found.score == 1 else "wrong_key"


def needs_reader(one: Candidate, derived: Derived) -> bool:
    """Whether only a reader can tell if the second answer says what the key says."""
    return one.key.kind == "text" and grade(one.key, derived.answer) is None


def language_for(said: str, passages_languages: Iterable[str]) -> str:
    """The language of a deck: what the model says, else that of most fragments, else English."""
    if LANGUAGE.fullmatch(said.strip().lower()):
        return said.strip().lower()
    known = [one for one in passages_languages if LANGUAGE.fullmatch(one)]
    return max(sorted(set(known)), key=known.count, default="en")


class OpenWork:
    """The open assignments of a student, whose finished work no question may hand over.

    :param rows: the assignments that ``svc_question_keys`` gives
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._work: list[tuple[str, Sequence[str]]] = []
        for row in rows:
            text, solutions = read_description(row["description_html"], row["rubric"], row["notes"])
            self._work.append((f"{row['title']}\n\n{text}", solutions))

    def is_in(self, one: Candidate) -> bool:
        """Whether a question asks what an open assignment asks, or contains its solution or finished work."""
        whole = "\n\n".join([one.question, *one.key.choices, *one.key.accepted, one.explanation or ""])
        for task, solutions in self._work:
            about = is_about(one.question, task)
            if about and asks_the_same(one.question, task):
                return True
            # results of a question of its own are its own, so form is judged in words alone
            judges_form = about and one.key.kind in ("exact", "text")
            if not judges_form and not solutions:
                continue
            try:
                LeakGuard(solutions, task, judges_form=judges_form).check(whole)
            except AnswerLeak:
                return True
        return False


def asks_the_same(question: str, task: str) -> bool:
    """Whether a question repeats a sentence of a task that asks or commands."""
    asked, imperative = stems(question), language_of(task).imperative
    for sentence in SENTENCE.split(task):
        if not sentence.rstrip().endswith(("?", "\uff1f", "\u061f")) and not imperative.match(folded(sentence)):
            continue
        wanted = stems(sentence)
        if len(wanted) >= MIN_ASKED_STEMS and len(wanted & asked) >= ASKED_SHARE * len(wanted):
            return True
    return False
