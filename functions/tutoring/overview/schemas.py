"""The answer of the overview."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Literal
from uuid import UUID

from functions.shared.web.schemas import Answer, UtcTime

SUBJECT_ID = "7d6c5b4a-3f2e-4d1c-8b0a-9f8e7d6c5b4a"
STUDENT_ID = "1e2d3c4b-5a69-4788-9796-a5b4c3d2e1f0"
GOAL_ID = "2b3c4d5e-6f70-4182-9394-a5b6c7d8e9f0"
SESSION_ID = "3c4d5e6f-7081-4293-a4b5-c6d7e8f90a1b"
SUMMARY_ID = "4d5e6f70-8192-43a4-b5c6-d7e8f90a1b2c"


class Goal(Answer):
    """An active goal as it stands now."""

    goal_id: UUID
    title: str
    subject_name: str | None
    completion_percentage: float
    current_streak: int
    xp_earned: int
    target_completion_date: date | None
    sessions_count: int
    practice_items_completed: int


class Rating(Answer):
    """A subject's rating and ability. `low` and `high` hold the true ability nine times out of ten."""

    subject_id: UUID
    subject_name: str
    rating: int
    ability: float | None
    low: float | None
    high: float | None
    calibrating: bool
    answers: int


class Points(Answer):
    """Points of a student. The streak is as of the last answer or hour."""

    xp: int
    level: int
    streak: int
    badges: list[str]


class Session(Answer):
    """One of the last five sessions."""

    id: UUID
    session_date: UtcTime
    duration_minutes: int | None
    subject_name: str | None
    topics_covered: list[str]
    transcript_available: bool


class Summary(Answer):
    """One of the last five summaries."""

    id: UUID
    session_id: UUID
    narrative: str
    next_steps: list[str]
    summary_type: Literal["normal", "brief", "missing_transcript"]
    overridden: bool
    created_at: UtcTime


class OpenPractice(Answer):
    """What is open, and how much of it waits for a tutor's score; at most 1000 are counted."""

    count: int
    needs_review: int


class WeakTopic(Answer):
    """A topic with a mean score below 0.6 in three answers or more, of the last 200."""

    topic: str
    mean_score: float
    answers: int


class Confidence(Answer):
    """How sure the companion was of its answers."""

    confidence: Literal["High", "Medium", "Low"]
    count: int
    percentage: float


class Overview(Answer):
    """Each part only as far as the caller's rights go: what they may not see is empty, or null."""

    example: ClassVar[Any] = {
        "student_id": STUDENT_ID,
        "display_name": "Sam",
        "goals": [
            {
                "goal_id": GOAL_ID,
                "title": "Pass physics",
                "subject_name": "Physics",
                "completion_percentage": 40,
                "current_streak": 3,
                "xp_earned": 120,
                "target_completion_date": "2031-06-30",
                "sessions_count": 4,
                "practice_items_completed": 25,
            }
        ],
        "ratings": [
            {
                "subject_id": SUBJECT_ID,
                "subject_name": "Physics",
                "rating": 1060,
                "ability": 1082.5,
                "low": 951.3,
                "high": 1213.7,
                "calibrating": False,
                "answers": 25,
            }
        ],
        "points": {"xp": 220, "level": 2, "streak": 3, "badges": ["first_answer"]},
        "sessions": [
            {
                "id": SESSION_ID,
                "session_date": "2031-05-10T15:00:00Z",
                "duration_minutes": 45,
                "subject_name": "Physics",
                "topics_covered": ["mass"],
                "transcript_available": True,
            }
        ],
        "summaries": [
            {
                "id": SUMMARY_ID,
                "session_id": SESSION_ID,
                "narrative": "They compared both sides of the equation.",
                "next_steps": ["Practise mass."],
                "summary_type": "normal",
                "overridden": False,
                "created_at": "2031-05-10T16:00:00Z",
            }
        ],
        "open_practice": {"count": 2, "needs_review": 1},
        "weak_topics": [{"topic": "friction", "mean_score": 0.4, "answers": 5}],
        "confidence": [{"confidence": "High", "count": 3, "percentage": 100}],
    }

    student_id: UUID
    display_name: str | None
    goals: list[Goal]
    ratings: list[Rating]
    points: Points | None
    sessions: list[Session]
    summaries: list[Summary]
    open_practice: OpenPractice
    weak_topics: list[WeakTopic]
    confidence: list[Confidence]
