"""The requests and answers of this service."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request

JOB_ID = "9c8b7a6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"


class SyncRequest(Request):
    """What to sync. By default it is every connected integration and every active course."""

    example: ClassVar = {"integration_id": "3f6d2b1a-7c8e-4d5f-9a0b-2c3d4e5f6a7b"}

    integration_id: UUID | None = None
    course_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=100)


class SyncStarted(Answer):
    """The job that syncs, and whether it was already under way."""

    example: ClassVar = {"job_id": JOB_ID, "deduplicated": False}

    job_id: UUID
    deduplicated: bool


class FeedRequest(Request):
    """The address that Canvas shows under Calendar, Calendar Feed, and what the person calls it. It is a secret."""

    example: ClassVar = {"url": "https://canvas.example.edu/feeds/calendars/user_Zk3vQe1b8.ics", "name": "My courses"}

    url: str = Field(min_length=1, max_length=1000)
    name: str | None = Field(default=None, min_length=1, max_length=200)


class FeedStarted(Answer):
    """The integration that the feed became, and the job that reads it."""

    example: ClassVar = {"integration_id": "3f6d2b1a-7c8e-4d5f-9a0b-2c3d4e5f6a7b", "job_id": JOB_ID}

    integration_id: UUID
    job_id: UUID


class SyncProgress(Answer):
    """How far a run is."""

    courses_done: int
    courses_total: int


class CourseCounts(Answer):
    """What happened to the courses of the list. Each counts once."""

    seen: int
    inserted: int
    updated: int
    unchanged: int
    restricted: int


class AssignmentCounts(Answer):
    """What happened to the assignments. Those that left the list are ``removed``."""

    seen: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    restored: int


class SyncError(Answer):
    """A course that could not be synced. Nulls stand for the list of courses itself."""

    course_id: UUID | None
    canvas_course_id: str | None
    code: str


class SyncResult(Answer):
    """What a run did."""

    status: Literal["complete", "partial"]
    courses: CourseCounts
    assignments: AssignmentCounts
    requests: int
    throttled: int
    # of calendar feeds: assignments that could not be read; runs of before this was counted have none
    skipped: int = 0
    errors: list[SyncError]


class SyncRun(Answer):
    """A run as its owner sees it."""

    example: ClassVar = {
        "job_id": JOB_ID,
        "status": "succeeded",
        "progress": {"courses_done": 2, "courses_total": 2},
        "result": {
            "status": "partial",
            "courses": {"seen": 2, "inserted": 2, "updated": 0, "unchanged": 0, "restricted": 0},
            "assignments": {"seen": 9, "inserted": 9, "updated": 0, "unchanged": 0, "removed": 0, "restored": 0},
            "requests": 4,
            "throttled": 0,
            "skipped": 0,
            "errors": [
                {
                    "course_id": "7d6c5b4a-3f2e-4d1c-8b0a-9f8e7d6c5b4a",
                    "canvas_course_id": "1302",
                    "code": "course_forbidden",
                }
            ],
        },
        "error_code": None,
        "error_message": None,
    }

    job_id: UUID
    status: str
    progress: SyncProgress
    result: SyncResult | None
    error_code: str | None
    error_message: str | None


class SyncRunEnded(SyncRun):
    """A run that ended while the caller waited."""

    example: ClassVar = {**SyncRun.example, "deduplicated": False}

    deduplicated: bool


def run_fields(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of :class:`SyncRun` from a row of jobs."""
    progress = {"courses_done": 0, "courses_total": 0, **(row["progress"] or {})}
    kept = {name: row[name] for name in ("status", "error_code", "error_message")}
    return {"job_id": row["id"], "progress": progress, "result": row["result"] or None, **kept}
