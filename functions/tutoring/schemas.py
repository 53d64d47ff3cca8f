"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from functions.shared.web.schemas import Answer, Request, UtcTime

MAX_ANSWER_CHARACTERS = 10_000
MAX_DURATION_MS = 86_400_000
ASSIGNMENT_ID = "0c9d8e7f-6a5b-4c3d-9e2f-1a0b9c8d7e6f"
SUBJECT_ID = "7d6c5b4a-3f2e-4d1c-8b0a-9f8e7d6c5b4a"

Kind = Literal["text", "exact", "numeric", "choice"]


class NextRequest(Request):
    """What to practise."""

    example: ClassVar = {"subject_id": SUBJECT_ID, "count": 5}

    subject_id: UUID
    count: int = Field(default=1, ge=1, le=10, strict=True)
    topic_tags: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=20)] | None
    ) = None
    goal_id: UUID | None = Field(default=None, description="One of your goals, for which the new items count.")
    include_reviews: bool = True


class PracticeItem(Answer):
    """A question to answer."""

    example: ClassVar = {
        "id": ASSIGNMENT_ID,
        "question_text": "How far does a car get in 30 minutes at 50 km/h?",
        "answer_kind": "numeric",
        "choices": None,
        "difficulty_level": 4,
        "topic_tags": ["motion"],
        "is_review": False,
        "is_unreviewed": False,
        "expected_success": 0.74,
    }

    id: UUID
    question_text: str
    answer_kind: Kind
    choices: list[str] | None
    difficulty_level: int | None
    topic_tags: list[str]
    is_review: bool
    is_unreviewed: bool = Field(description="A model wrote it and no tutor has accepted it yet: it is not rated.")
    expected_success: float | None = Field(description="The chance of a right answer; null when a tutor chose it.")


class NextAnswer(Answer):
    """What to practise, reviews first. `out_of_zone`: nothing was near the wished difficulty."""

    example: ClassVar = {"assignments": [PracticeItem.example], "out_of_zone": False}

    assignments: list[PracticeItem]
    out_of_zone: bool


class AnswerRequest(Request):
    """An answer to a practice question. A choice may be given by its letter or its words."""

    example: ClassVar = {"answer": "25 km", "duration_ms": 41000}

    answer: str = Field(min_length=1, max_length=MAX_ANSWER_CHARACTERS, pattern=r"\S")
    duration_ms: int | None = Field(default=None, ge=0, le=MAX_DURATION_MS, strict=True)
    answered_at: AwareDatetime | None = Field(
        default=None, description="When it was answered offline: at most 48 hours ago, at most 5 minutes ahead."
    )


class Streak(Answer):
    """Days of work in a row, with those that freezes bridged."""

    length: int
    state: Literal["active", "at_risk", "broken"]
    freezes_left: int


class GoalProgress(Answer):
    """How much of a goal is done, 0 to 100."""

    goal_id: UUID
    completion_percentage: float


class Citation(Answer):
    """Where the answer stands in the student's own material."""

    kind: Literal["document", "lecture", "content_source"]
    source_id: UUID
    chunk_id: UUID
    quote: str
    page_start: int | None
    start_second: float | None


class Graded(Answer):
    """What an answer gave. While a score is withheld, `needs_review` is true and `score` null."""

    example: ClassVar = {
        "assignment_id": ASSIGNMENT_ID,
        "needs_review": False,
        "score": 1,
        "correct": True,
        "graded_by": "rule",
        "feedback": "Right.",
        "answer_text": "25 km",
        "explanation": "Half an hour is half of 50 km.",
        "citations": [],
        "rating_before": 1000,
        "rating_after": 1012,
        "ability": 1063.2,
        "ability_sd": 121.4,
        "calibrating": True,
        "xp": 10,
        "streak": {"length": 3, "state": "active", "freezes_left": 0},
        "goal_progress": None,
        "next_review_at": "2031-05-11T12:00:00Z",
    }

    assignment_id: UUID
    needs_review: bool
    score: float | None
    correct: bool | None
    graded_by: Literal["rule", "model", "tutor"] | None
    feedback: str | None
    answer_text: str | None
    explanation: str | None
    citations: list[Citation] = Field(description="For a question that was made of sources, once it is graded.")
    rating_before: int | None
    rating_after: int | None
    ability: float | None
    ability_sd: float | None
    calibrating: bool | None
    xp: int
    streak: Streak | None
    goal_progress: GoalProgress | None
    next_review_at: UtcTime | None


class Grading(Answer):
    """The answer is kept, and a model reads it. Ask again with the same key, or follow the job."""

    example: ClassVar = {"job_id": "5f4e3d2c-1b0a-4f9e-8d7c-6b5a4f3e2d1c"}

    job_id: UUID


class HintAnswer(Answer):
    """A hint. With any hint read, an answer scores one half at most."""

    example: ClassVar = {"hint": "This is about motion. What do you know about it?", "level": 1, "left": 2}

    hint: str
    level: int
    left: int
