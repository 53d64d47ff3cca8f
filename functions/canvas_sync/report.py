"""What a run did, as its owner reads it in the job's ``progress`` and ``result``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class CourseCounts:
    """What happened to the courses. Each counts once."""

    seen: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    restricted: int = 0


@dataclass
class AssignmentCounts:
    """What happened to the assignments."""

    seen: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    restored: int = 0


@dataclass
class Report:
    """What a run did in all its integrations."""

    courses: CourseCounts = field(default_factory=CourseCounts)
    assignments: AssignmentCounts = field(default_factory=AssignmentCounts)
    requests: int = 0
    throttled: int = 0
    skipped: int = 0  # assignments of calendar feeds that could not be read
    errors: list[dict[str, str | None]] = field(default_factory=list)
    courses_done: int = 0
    courses_total: int = 0

    def fail(self, code: str, course_id: str | None = None, canvas_course_id: int | str | None = None) -> None:
        """Adds a course, or the list of courses, that could not be synced."""
        canvas_id = None if canvas_course_id is None else str(canvas_course_id)
        self.errors.append({"course_id": course_id, "canvas_course_id": canvas_id, "code": code})

    def progress(self) -> dict[str, int]:
        """The job's ``progress``."""
        return {"courses_done": self.courses_done, "courses_total": self.courses_total}

    def result(self) -> dict[str, Any]:
        """The job's ``result``."""
        return {
            "status": "partial" if self.errors else "complete",
            "courses": asdict(self.courses),
            "assignments": asdict(self.assignments),
            "requests": self.requests,
            "throttled": self.throttled,
            **({"skipped": self.skipped} if self.skipped else {}),
            "errors": self.errors,
        }


def count(counts: CourseCounts | AssignmentCounts, outcome: str, amount: int = 1) -> None:
    """Adds to one of the counters."""
    setattr(counts, outcome, getattr(counts, outcome) + amount)
