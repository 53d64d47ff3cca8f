"""Grading by rule, reviews, hints and what a model's reading is worth. No stack is needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from functions.tutoring.grading import Key, chosen, grade
from functions.tutoring.hints import LAST_RESORT, hint, is_safe
from functions.tutoring.reading import Point, Reading, judge
from functions.tutoring.reviews import next_review

RIGHT = [
    ("2.5", "2.5"), ("2.5", "2,5"), ("2.5", " 2.50 "), ("2.5", "5/2"), ("2.5", "2 1/2"), ("2.5", "2½"),
    ("-2.5", "\u22122.5"),
    ("1234", "1,234"), ("1234", "1 234"), ("1234", "1'234"), ("1234567.5", "1,234,567.5"), ("1234567", "1.234.567"),
    ("1.234", "1.234"), ("0.5", ".5"), ("0.5", "½"), ("0.123", "0,123"), ("1234.567", "1234,567"),
    ("0.0012", "1.2e-3"), ("0.0012", "1.2 \u00d7 10^-3"), ("0.0012", "1,2·10⁻³"), ("1000", "10^3"), ("1000", "10³"),
    ("25 %", "25"), ("25 %", "25%"), ("25 %", "0.25"), ("0.25", "25 %"), ("25 %", "1/4"),
    ("25 km", "25"), ("25 km", "25 km"), ("25 km", "25000 m"), ("25 km", "25 KM"), ("25 km", "2.5e4 m"),
    ("10 m/s", "36 km/h"), ("9.81 m/s^2", "9.81 m/s²"), ("9.81 m/s^2", "9.81 m s^-2"), ("5 N", "5 kg m/s^2"),
    ("300 K", "26.85 °C"), ("90 °", "90 deg"), ("5 €", "€5"), ("5 €", "5 €"), ("2", "x = 2"), ("2", "2."),
    ("25", "٢٥"), ("25", "\u202e25\u202c"), ("2.5", "+2.5"),
]  # fmt: skip
WRONG = [
    ("2.5", "25"), ("2.5", "2.51"), ("25 km", "25 kg"), ("25 km", "25 m"), ("25 km", "25 apples"), ("25", "25 km"),
    ("1234", "1.234"), ("2", "NaN"), ("2", "1e999"), ("2", "inf"), ("2", "two"), ("2", "1/0"), ("2", "1,2,3"),
    ("2", "2 m**9**9**9"), ("25 %", "2.5"), ("2", "2; drop table"), ("2", "2" * 300), ("2", "\u22122"), ("2", "1 + 1"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "answer"), RIGHT)
def test_numbers_that_are_right(key: str, answer: str) -> None:
    found = grade(Key("numeric", [key]), answer)
    assert found is not None
    assert found.score == 1, found


@pytest.mark.parametrize(("key", "answer"), WRONG)
def test_numbers_that_are_wrong(key: str, answer: str) -> None:
    found = grade(Key("numeric", [key]), answer)
    assert found is not None
    assert found.score == 0


@pytest.mark.parametrize(
    ("language", "answer", "score"),
    [
        ("en", "1,234", 1),
        ("de", "1.234", 1),
        ("en", "1.234", 0),
        ("de", "1,234", 0),
        ("fr", "1 234", 1),
        ("de", "1234", 1),
    ],
)
def test_thousands_follow_the_language(language: str, answer: str, score: int) -> None:
    assert grade(Key("numeric", ["1234"], language=language), answer) == (score, "Right." if score else "Not right.")


def test_tolerance_is_in_the_unit_of_the_key_and_a_wrong_unit_is_named() -> None:
    key = Key("numeric", ["9.8 m/s^2"], tolerance="0.05")
    graded = {text: grade(key, text) for text in ("9.85", "9.86", "985 cm/s^2", "9.8 m/s")}
    assert [found and found.score for found in graded.values()] == [1, 0, 1, 0]
    assert "unit" in str(graded["9.8 m/s"])


@pytest.mark.parametrize(
    ("answer", "score"),
    [("B", 1), ("b)", 1), ("(b)", 1), ("b) mitosis", 1), ("Mitosis", 1), ("b) meiosis", 0), ("A", 0), ("z", 0),
     ("C", 0), ("2", 0), ("\u200bMITOSIS.", 1)],
)  # fmt: skip
def test_choices_by_letter_or_words(answer: str, score: int) -> None:
    choices = ["Meiosis", "Mitosis", "C. elegans"]
    for right in ("B", "mitosis"):
        found = grade(Key("choice", [right], choices), answer)
        assert found is not None
        assert found.score == score
    assert chosen(["B", "A"], "a") == 1, "a choice that is a letter is meant by it"


@pytest.mark.parametrize(
    ("answer", "score"),
    [("Photosynthesis", 1), ("  PHOTO\u00adSYNTHESIS. ", 1), ("photo synthesis", 0), ("\uff50hotosynthesis", 1),
     ("die Photosynthese", 1)],
)  # fmt: skip
def test_words(answer: str, score: int) -> None:
    found = grade(Key("exact", ["photosynthesis", "Die Photosynthese"]), answer)
    assert found is not None
    assert found.score == score
    assert (grade(Key("text", ["photosynthesis"]), answer) is None) == (score == 0 or "die" in answer)


def test_reviews_come_later_and_later_and_soon_after_a_slip() -> None:
    at = datetime(2031, 5, 9, 12, tzinfo=UTC)
    review: dict[str, Any] | None = None
    gaps = []
    for passed in (True, True, True, False, True):
        review = next_review(review, is_pass=passed, at=at)
        due = datetime.fromisoformat(review["due_at"])
        gaps.append((due - at).days)
        assert due - at >= timedelta(days=1), "never on the same day"
        assert review == {**review, "state": 2, "step": None}
        at = due
    assert all(before < after for before, after in pairwise(gaps[:3]))
    assert gaps[3] < gaps[2]
    assert review is not None
    late = next_review(review, is_pass=True, at=at - timedelta(days=400))
    assert late["last_review_at"] == review["last_review_at"], "an answer before the last review changes no past"


QUESTIONS = [
    (Key("numeric", ["42 km"]), "How far?", ["motion"], "The car needs 42 km. Multiply speed by time."),
    (Key("choice", ["B"], ["Meiosis", "Mitosis"]), "Which division?", ["cells"], "It is mitosis, as both are equal."),
    (Key("exact", ["Paris"]), "The capital of France?", [], "Paris is the capital."),
    (Key("text", ["Because the denominator grows without bound, the quotient vanishes."]), "Why?", ["limits"],
     "Because the denominator grows without bound, the quotient vanishes."),
]  # fmt: skip


@pytest.mark.parametrize(("key", "question", "topics", "explanation"), QUESTIONS)
def test_hints_say_more_and_more_and_never_the_answer(
    key: Key, question: str, topics: list[str], explanation: str
) -> None:
    shown = [hint(level, key, question, topics, explanation) for level in (1, 2, 3)]
    for text in shown:
        assert is_safe(text, key, question, explanation)
        for secret in ("42", "mitosis", "paris", "denominator grows"):
            assert secret not in text.lower()
    assert shown[0] == (f"This is about {topics[0]}. What do you know about it?" if topics else LAST_RESORT)
    if key.kind == "numeric":
        assert shown[2] == "Multiply speed by time."


def reading(confidence: float, *quotes: str | None) -> Reading:
    """A reading with a point for each quote; None: not made."""
    points = [Point(point="x", is_made=quote is not None, quote=quote or "") for quote in quotes]
    return Reading(points=points, confidence=confidence, feedback="Good.\n<b>Go on.</b>")


@pytest.mark.parametrize(
    ("given", "score"),
    [
        (reading(0.9, "it cancels", "out"), 1),
        (reading(0.9, "It CANCELS", None), 0.5),
        (reading(0.9, None, None, None), 0),
        (reading(0.74, "it cancels"), None),
        (reading(0.9, "the mass is equal"), None),
        (reading(0.9, ""), None),
    ],
)
def test_a_model_is_believed_as_far_as_the_answer_shows_it(given: Reading, score: float | None) -> None:
    judged = judge(given, "I think it cancels out of the equation.")
    assert (judged.grade and judged.grade.score) == score
