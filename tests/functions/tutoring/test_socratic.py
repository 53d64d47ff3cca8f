"""A hundred scripted turns in which a model gives the answer away: none of them reaches the student.

Each key is asked for in several ways, and the model is made to tell it in several ways. Texts that help must pass.
"""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.answers.citations import Passage
from functions.shared.answers.marks import MarkFilter
from functions.shared.llm.errors import Truncated
from functions.tutoring.questions.guarding import (
    MAX_ANSWER_CHARACTERS,
    AnswerGuard,
    GuardedFilter,
    Withheld,
)


def practice(question: str, kind: str, *answers: str, choices: list[str] | None = None) -> dict[str, Any]:
    """A row of open practice as ``svc_question_keys`` gives it."""
    row = {"question": question, "kind": kind, "answers": list(answers), "choices": choices}
    return {**row, "language": "en", "explanation": None}


CAR = practice("How far does a car get in 30 minutes at 50 km/h?", "numeric", "25 km")
PART = practice("What is 25 % of 3/4?", "numeric", "3/16")
UNIT = practice("What is the unit of force?", "exact", "newton")
ORGAN = practice(
    "Which organ makes insulin?", "choice", "B", choices=["The liver", "The pancreas", "The kidney", "The spleen"]
)
WHY = practice("Why do leaves look green?", "text", "Chlorophyll absorbs red and blue light and reflects green light.")
PRACTICE = [CAR, PART, UNIT, ORGAN, WHY]
ESSAY = {
    "id": "essay",
    "title": "Essay on the French Revolution",
    "description_html": "<p>Why did the French Revolution begin? Write an essay of 500 words.</p>"
    "<details><summary>Model solution</summary><p>The crown was bankrupt after the American war, bread prices had "
    "doubled, and the Third Estate paid for everybody else.</p></details>",
    "rubric": None,
    "notes": "The examiner wants the words fiscal crisis of an absolute monarchy without reform.",
}
CODE = {
    "id": "code",
    "title": "Fibonacci in Python",
    "description_html": "<p>Write a function that computes Fibonacci numbers.</p>",
    "rubric": None,
    "notes": None,
}
KEYS = {"assignments": [ESSAY, CODE], "practice": PRACTICE}

ASKED = {
    "car": [
        CAR["question"],
        "Just tell me the answer!",
        "Is it 25 km?",
        "A car drives 30 minutes at 50 km/h. How far?",
    ],
    "part": [PART["question"], "So what is it?", "Please solve it: what is 25 % of 3/4"],
    "unit": [UNIT["question"], "And the unit of force is?", "Answer?"],
    "organ": [ORGAN["question"], "Is it the pancreas?", "Which letter?"],
    "why": [WHY["question"], "Why are leaves green, in one sentence?"],
}
TOLD = {
    "car": [
        "It gets **25 km** far.",
        "Half of 50 is 25, so there you are.",
        "The distance is twenty-five kilometres.",
        "That makes 25,000 m. Do you see why?",
        "$s = v t = 50 \\cdot \\frac{1}{2} = 25$",
        "s = 25km",
        "Let us see.\n\nFirst halve the speed.\n\nThe result: 25.0 km\n\nClear?",
    ],
    "part": [
        "The answer is 3/16.",
        "You get 0.1875.",
        "That is $\\frac{3}{16}$, is it not?",
        "18.75 % of the whole",
        "A quarter of three quarters is `3/16`.",
    ],
    "unit": [
        "It is the newton.",
        "One **Newton**, after whom?",
        "_newton_",
        "The unit is called Newton (N).",
    ],
    "organ": [
        "B is right.",
        "The right one is (b).",
        "Insulin comes from the pancreas, think why.",
        "**The pancreas**",
        "Answer: B",
    ],
    "why": [
        "Chlorophyll absorbs red and blue light and reflects green light.",
        "Because chlorophyll *absorbs red* and *blue light and reflects green light*.",
    ],
}
FINISHED = [
    ("Write me the essay on the French Revolution, please", "In this essay I will argue that the crown failed. " * 12),
    ("Why did the French Revolution begin? I need an essay.", "the crown was bankrupt after the American war, bread"),
    ("What is on my reading list?", "The crown was bankrupt after the American war, bread prices had doubled."),
    ("What do they want to hear?", "They want: the fiscal crisis of an absolute monarchy without reform."),
    (
        "Fibonacci function in Python?",
        "```python\ndef f(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n```",
    ),
    ("Write the function for Fibonacci numbers", "Here is the solution:\n\n```python\nreturn f(n - 1) + f(n - 2)\n```"),
]
TURNS = [
    *((question, text) for name, asked in ASKED.items() for question in asked for text in TOLD[name]),
    *FINISHED,
]
HELP = [
    (CAR["question"], "Speed tells how far something gets in one hour. What part of an hour are 30 minutes?"),
    (CAR["question"], "You know 50 km/h and 30 minutes. Which of them do you change first, and into what?"),
    (PART["question"], "What does 25 % mean as a fraction? Then, how do you take a fraction of 3/4?"),
    (UNIT["question"], "Think of the law that joins force, mass and acceleration. What are their units?"),
    (ORGAN["question"], "A good question. It lies behind the stomach. Which of the four does that?"),
    (WHY["question"], "What happens to the colours of white light that a leaf does not take in?"),
    (
        "What did Isaac Newton write about motion and light?",
        "Isaac Newton wrote about light. What have you read of it?",
    ),
    ("What is the capital of France and who rules there?", "25 people asked this. Paris is on page 3. Why do you ask?"),
    ("What does a stack do with elements?", "It works last in, first out. Which of your functions would need that?"),
    ("Fibonacci function in Python?", "Each number is the sum of two others. Which two values do you have to keep?"),
]


def shown(question: str, text: str, *, size: int = 7) -> tuple[str, bool]:
    """What a student sees of a model's text, and whether it was withheld."""
    filtered = GuardedFilter(MarkFilter((), False, ("clarify", "scope")), AnswerGuard(KEYS, question))
    out = ""
    try:
        for at in range(0, len(text), size):
            out += filtered.feed(text[at : at + size])
        out += filtered.finish()
    except Withheld:
        return out + filtered.finish(), True
    return out, False


def test_no_final_answer_in_a_hundred_turns() -> None:
    assert len(TURNS) >= 80
    turns = [*TURNS, *((question, f"Let us think.\n\n{text}\n\nClear?") for question, text in TURNS[:20])]
    assert len(turns) >= 100
    leaked = [turn for turn in turns if not shown(*turn)[1]]
    assert leaked == []
    # what came before the answer may stay
    assert shown(CAR["question"], "Let us think.\n\nIt is 25 km.") in (("Let us think.\n\n", True), ("", True))


@pytest.mark.parametrize(("question", "text"), HELP)
def test_help_passes(question: str, text: str) -> None:
    assert shown(question, text) == (text, False)


def test_a_named_assignment_is_held_strictly_and_read_without_its_solution() -> None:
    guard = AnswerGuard(KEYS, "Where do I begin?", "essay")
    assert guard.task is not None
    assert "Why did the French Revolution begin?" in guard.task
    assert "bankrupt" not in guard.task
    with pytest.raises(Withheld):
        guard.check("In this essay I will argue that the crown failed because it never asked for reform. " * 8)
    # another assignment keeps its solution alone
    AnswerGuard({**KEYS, "practice": []}, "What is a stack good for in programs?").check("The answer is 12.")


def test_a_second_call_begins_anew() -> None:
    passage = Passage(1, "Notes", "Force is mass times acceleration.", {"kind": "document", "source_id": "s",
                      "chunk_id": "c", "page_start": 1, "start_second": None})  # fmt: skip
    filtered = GuardedFilter(MarkFilter([passage], False), AnswerGuard(KEYS, UNIT["question"]))
    filtered.feed('As they say [1: "mass times acceleration"].\n\n')
    with pytest.raises(Withheld):
        filtered.feed("The unit is newton.\n\nNow\n\nThen")
    assert Withheld.is_repeatable
    filtered.restart()
    assert filtered.feed('Here [1: "Force is mass"].\n\nWhich units?\n\nSo') == "Here [1].\n\n"
    filtered.finish()
    assert filtered.citations() == [
        {"n": 1, "kind": "document", "source_id": "s", "chunk_id": "c", "quote": "Force is mass", "page_start": 1,
         "start_second": None}
    ]  # fmt: skip


def test_a_long_answer_ends() -> None:
    filtered = GuardedFilter(MarkFilter((), False), AnswerGuard({"assignments": [], "practice": []}, "Why?"))
    with pytest.raises(Truncated):
        filtered.feed("You think.\n\nWhy?\n\n" * (MAX_ANSWER_CHARACTERS // 10))
    assert len(filtered.finish()) <= 2 * MAX_ANSWER_CHARACTERS
