"""What a model is asked for, by kind. sql/60_assistant/content_shapes.sql checks and renders the same parts.

A text is one line where the name says so, else Markdown. Labels are headings in the language of the material.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

MAX_ENTRIES = 200
MAX_TEXT_CHARACTERS = 20_000
MAX_LINE_CHARACTERS = 500
MAX_CHOICES = 26
NUMBER = re.compile(r"\d{1,5}(?:[.,]\d{1,3})?")


def number_of(value: Any) -> Any:
    """The number in what models write: 12.5, "15 min". Anything else stays for the schema to refuse."""
    if isinstance(value, str) and (found := NUMBER.search(value)):
        return float(found[0].replace(",", "."))
    return value


Number = Annotated[float, BeforeValidator(number_of), Field(ge=0, le=100_000)]


class Material(BaseModel):
    """What a kind consists of; ``needed`` is the field that it is nothing without."""

    needed: ClassVar[str]
    title: str

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if not getattr(self, self.needed):
            raise ValueError(f"{self.needed} must not be empty")
        return self


class Labels(BaseModel):
    """Headings; those that a model leaves out are English."""


class LessonPlanLabels(Labels):
    """Headings of a lesson plan."""

    objectives: str = ""
    materials: str = ""
    steps: str = ""
    differentiation: str = ""
    assessment: str = ""
    homework: str = ""
    minutes: str = ""


class Step(BaseModel):
    """A part of a lesson."""

    title: str
    minutes: Number
    text: str


class LessonPlan(Material):
    """A plan for a lesson."""

    needed = "steps"
    summary: str
    objectives: list[str]
    materials: list[str]
    steps: list[Step]
    differentiation: list[str]
    assessment: str
    homework: str
    labels: LessonPlanLabels = LessonPlanLabels()


class QuizLabels(Labels):
    """Headings of a quiz."""

    answers: str = ""
    points: str = ""


class QuizQuestion(BaseModel):
    """A question. Without choices it is open; ``correct`` has the numbers of the right choices, from 1."""

    prompt: str
    choices: list[str]
    correct: list[int]
    answer: str
    explanation: str
    points: Number

    @model_validator(mode="after")
    def _fits(self) -> QuizQuestion:
        if not self.choices:
            self.correct = []
        elif not self.correct or not all(1 <= one <= len(self.choices) for one in self.correct):
            raise ValueError("correct must have the numbers of right choices, from 1")
        if len(self.choices) == 1 or len(self.choices) > MAX_CHOICES:
            raise ValueError("a question has no choices, or at least two")
        return self


class Quiz(Material):
    """Questions with their solutions."""

    needed = "questions"
    instructions: str
    questions: list[QuizQuestion]
    labels: QuizLabels = QuizLabels()


class Level(BaseModel):
    """A level of a rubric."""

    name: str
    points: Number


class Criterion(BaseModel):
    """A row of a rubric."""

    name: str
    descriptions: list[str]


class Rubric(Material):
    """Criteria by levels."""

    needed = "criteria"
    summary: str
    levels: list[Level]
    criteria: list[Criterion]

    @model_validator(mode="after")
    def _is_full(self) -> Rubric:
        if any(len(row.descriptions) != len(self.levels) for row in self.criteria):
            raise ValueError("each criterion needs one description for each level")
        return self


class Task(BaseModel):
    """A task of a worksheet."""

    prompt: str
    answer: str


class WorksheetSection(BaseModel):
    """A part of a worksheet."""

    heading: str
    text: str
    tasks: list[Task]


class WorksheetLabels(Labels):
    """Headings of a worksheet."""

    answers: str = ""


class Worksheet(Material):
    """Tasks with their solutions."""

    needed = "sections"
    instructions: str
    sections: list[WorksheetSection]
    labels: WorksheetLabels = WorksheetLabels()


class Slide(BaseModel):
    """A slide with what is said to it."""

    title: str
    bullets: list[str]
    notes: str


class SlidesLabels(Labels):
    """Headings of slides."""

    notes: str = ""


class Slides(Material):
    """A presentation."""

    needed = "slides"
    slides: list[Slide]
    labels: SlidesLabels = SlidesLabels()


class Section(BaseModel):
    """A heading, which may be empty, and a text."""

    heading: str
    text: str


class Term(BaseModel):
    """A word and what it means."""

    term: str
    meaning: str


class SummaryLabels(Labels):
    """Headings of a summary."""

    key_points: str = ""
    terms: str = ""


class Summary(Material):
    """What a text says, shorter."""

    needed = "overview"
    overview: str
    key_points: list[str]
    sections: list[Section]
    terms: list[Term]
    labels: SummaryLabels = SummaryLabels()


class Other(Material):
    """Anything else."""

    needed = "sections"
    sections: list[Section]


SHAPES: dict[str, type[Material]] = {
    "lesson_plan": LessonPlan,
    "quiz": Quiz,
    "rubric": Rubric,
    "worksheet": Worksheet,
    "slides": Slides,
    "summary": Summary,
    "other": Other,
}
LINES = frozenset({"title", "heading", "name", "term"})


def parts_of(answer: Material, clean: Callable[[str], str]) -> dict[str, Any]:
    """A model's answer as the parts that are stored, without its title: texts cleaned and cut, empty entries left out.

    :param clean: makes a text fit to be shown
    """

    def walk(value: Any, name: str) -> Any:
        if isinstance(value, str):
            return " ".join(clean(value[:MAX_LINE_CHARACTERS]).split()) if name in LINES else text(value)
        if isinstance(value, dict):
            return {key: walk(part, "name" if name == "labels" else key) for key, part in value.items()}
        if isinstance(value, list):
            # places of choices and descriptions mean something
            is_kept = name in ("choices", "descriptions")
            found = [walk(part, "") for part in value[:MAX_ENTRIES]]
            return [part for part in found if is_kept or part != ""]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def text(value: str) -> str:
        return clean(value[:MAX_TEXT_CHARACTERS]).strip()

    whole: dict[str, Any] = walk(answer.model_dump(), "")
    whole.pop("title")
    return whole
