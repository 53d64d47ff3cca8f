"""What comes in and goes out."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from functions.shared.schemas import Answer, Request


class RunRequest(Request):
    """What to sync; nothing named means every connected integration and every active course."""

    integration_id: UUID | None = None
    course_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=500)


class WaitQuery(Request):
    """How long to hold the answer until the job ends."""

    wait: float = Field(default=0, ge=0, le=30)


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
    deduplicated: bool | None = None

    @classmethod
    def of(cls, row: dict[str, Any], *, deduplicated: bool | None = None) -> RunAnswer:
        """From a row of jobs."""
        progress = row["progress"] or {}
        return cls(
            job_id=row["id"],
            status=row["status"],
            progress=Progress(
                courses_done=progress.get("courses_done", 0), courses_total=progress.get("courses_total", 0)
            ),
            result=RunResult.model_validate(row["result"]) if row["result"] else None,
            error_code=row["error_code"],
            error_message=row["error_message"],
            deduplicated=deduplicated,
        )
