"""Grades an answer in words by a model, against the reference. What is doubtful is left to the tutor."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field

from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.markup.text import visible
from functions.tutoring.grading import Grade, plain

MIN_CONFIDENCE = 0.75
MAX_FEEDBACK_CHARACTERS = 1000
UNSURE = "Your tutor will look at this answer."


class Point(BaseModel):
    """One thing that a complete answer says."""

    point: str = Field(max_length=1000)
    is_made: bool
    quote: str = Field(max_length=10_000)


class Reading(BaseModel):
    """What the model answers."""

    points: list[Point] = Field(min_length=1, max_length=6)
    confidence: float = Field(ge=0, le=1)
    feedback: str = Field(max_length=4000)


class Judged(NamedTuple):
    """A grade, None when it is withheld, and how sure the model was."""

    grade: Grade | None
    confidence: float


def judge(reading: Reading, answer: str) -> Judged:
    """The score is counted here: points made of all points. Each must be shown by words of the answer."""
    said = plain(answer)
    made = [point for point in reading.points if point.is_made]
    is_shown = all(plain(point.quote) and plain(point.quote) in said for point in made)
    if reading.confidence < MIN_CONFIDENCE or not is_shown:
        return Judged(None, reading.confidence)
    feedback = " ".join(visible(reading.feedback).split())[:MAX_FEEDBACK_CHARACTERS]
    return Judged(Grade(len(made) / len(reading.points), feedback), reading.confidence)


def read(client: ModelClient, budget: Budget, question: str, reference: str, answer: str) -> Judged:
    """Asks the model.

    :raise ModelError: there is no usable answer
    """
    prompt, blocks = load_prompt(Path(__file__).parent / "prompts"), DataBlocks()
    texts = "\n\n".join(
        blocks.block(name, text)
        for name, text in (("question", question), ("reference", reference), ("answer", answer))
    )
    messages: list[Message] = [
        {"role": "system", "content": f"{prompt.parts['system']}\n\n{blocks.rule()}"},
        {"role": "user", "content": f"{prompt.parts['user']}\n\n{texts}"},
    ]
    found, _ = write(client, Wanted("practice_grading", Reading, messages), budget)
    return judge(found, answer)
