"""What comes in and goes out."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request


class RunRequest(Request):
    """What to sync; nothing named means every connected integration and every active course."""

    integration_id: UUID | None = None
    course_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=100)


class StartedAnswer(Answer):
    """The job that syncs, and whether it was under way already."""

    job_id: UUID
    deduplicated: bool


class Progress(Answer):
    """How far a run is."""

    courses_done: int
    courses_total: int


class CourseCounts(Answer):
    """What became of the courses of the list; each counts once."""

    seen: int
    inserted: int
    updated: int
    unchanged: int
    restricted: int


class AssignmentCounts(Answer):
    """What became of the assignments; ``removed`` ones were not in the list."""

    seen: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    restored: int


class CourseError(Answer):
    """A course that could not be brought up to date; nulls stand for the list of courses itself."""

    course_id: UUID | None
    canvas_course_id: str | None
    code: str


class RunResult(Answer):
    """What a run did."""

    status: Literal["complete", "partial"]
    courses: CourseCounts
    assignments: AssignmentCounts
    requests: int
    throttled: int
    errors: list[CourseError]


class RunAnswer(Answer):
    """A run as its owner sees it."""

    job_id: UUID
    status: str
    progress: Progress
    result: RunResult | None
    error_code: str | None
    error_message: str | None


class EndedAnswer(RunAnswer):
    """A run that ended while the caller waited."""

    deduplicated: bool


def run_fields(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of :class:`RunAnswer` from a row of jobs."""
    progress = {"courses_done": 0, "courses_total": 0, **(row["progress"] or {})}
    kept = {name: row[name] for name in ("status", "error_code", "error_message")}
    return {"job_id": row["id"], "progress": progress, "result": row["result"] or None, **kept}
