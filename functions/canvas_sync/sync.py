"""One run: it lists the courses, then the assignments of each course, one listing after another.

Whatever Canvas does, and wherever the process is killed:
- a page and its cursor are written together, and writing them again changes nothing;
- a missing course or assignment counts as gone only after a complete list and a second look;
- a course that fails is reported and does not stop the others;
- a run without changes writes nothing to courses and assignments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from functions.canvas_sync.mapping import assignment_row, course_row, is_published, is_stub
from functions.shared.canvas.client import Canvas, Row, row_id
from functions.shared.canvas.errors import CanvasError, CourseForbidden, CourseGone, ReauthorizationRequired
from functions.shared.canvas.tokens import Rpc
from functions.shared.canvas.transport import InsufficientScopes

# in one call to the database, because descriptions can have megabytes
MAX_CHUNK_CHARACTERS = 2_000_000
OVER = ("completed", "deleted")


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
            "errors": self.errors,
        }


@dataclass(frozen=True)
class Course:
    """A course whose assignments are to be listed."""

    id: str
    canvas_id: int


@dataclass
class IntegrationSync:
    """Syncs one integration. ``step`` is called between steps; it shows progress, and raises when the run must end."""

    canvas: Canvas
    rpc: Rpc
    integration_id: str
    run_id: str
    report: Report
    step: Callable[[], None]
    now: Callable[[], datetime]

    def run(self, only: Collection[str] | None = None) -> None:
        """Syncs all active courses, or ``only`` those with these ids.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        :raise CanvasError: the list of courses could not be read completely
        """
        before = (self.canvas.counters.requests, self.canvas.counters.throttled)
        try:
            try:
                due = [course for course in self._courses() if only is None or course.id in only]
            except InsufficientScopes as error:
                # a refresh does not add scopes, so the person has to consent again
                raise ReauthorizationRequired from error
            if only is not None:
                due += self._hidden_courses(only)
            self.report.courses_total += len(due)
            for course in due:
                self.step()
                self._guarded(course)
                self.report.courses_done += 1
            self.step()
        finally:
            self.report.requests += self.canvas.counters.requests - before[0]
            self.report.throttled += self.canvas.counters.throttled - before[1]

    def _guarded(self, course: Course) -> None:
        try:
            self._assignments(course)
        except ReauthorizationRequired:
            raise
        except CanvasError as error:
            self.report.fail(error.code, course.id, course.canvas_id)

    # ---- courses ------------------------------------------------------------------------------------------------

    def _courses(self) -> list[Course]:
        seen: set[int] = set()
        due: list[Course] = []
        self._inactive: list[Course] = []
        for page in self.canvas.courses():
            self.step()
            rows = [course_row(row, number) for number, row in fresh(page.rows, seen)]
            if not rows:
                continue
            answer = self.rpc("svc_apply_courses", {"p_integration_id": self.integration_id, "p_courses": rows})
            for row in answer:
                self.report.courses.seen += 1
                count(self.report.courses, row["outcome"])
                if row["outcome"] == "restricted" or row["workflow_state"] in OVER:
                    continue
                course = Course(row["course_id"], int(row["canvas_course_id"]))
                (due if row["is_active"] else self._inactive).append(course)
        self._missing_courses(sorted(seen))
        return due

    def _hidden_courses(self, only: Collection[str]) -> list[Course]:
        """Courses that the person hides. They are synced when they are asked for by id."""
        return [course for course in self._inactive if course.id in only]

    def _missing_courses(self, seen: list[int]) -> None:
        """Looks again at each course that left the list: it is over, deleted, or closed to this person."""
        missing = self.rpc("svc_missing_courses", {"p_integration_id": self.integration_id, "p_seen": seen})
        for row in missing:
            self.step()
            canvas_id = int(row["canvas_course_id"])
            try:
                state, restricted = self._second_look(canvas_id)
            except ReauthorizationRequired:
                raise
            except CanvasError as error:
                self.report.fail(error.code, row["course_id"], canvas_id)
                continue
            args = {"p_course_id": row["course_id"], "p_workflow_state": state, "p_restricted": restricted}
            if self.rpc("svc_mark_course", args) and not restricted:
                self.report.courses.updated += 1
            if restricted:
                self.report.courses.restricted += 1

    def _second_look(self, canvas_id: int) -> tuple[str | None, bool]:
        try:
            course = self.canvas.course(canvas_id)
        except CourseGone:
            return "deleted", False
        except CourseForbidden:
            return None, True
        if is_stub(course):
            return None, True
        # it can be read but is not active, so it is over for this person, whatever its own state is
        state = course.get("workflow_state")
        return (state if state in ("deleted", "unpublished") else "completed"), False

    # ---- assignments --------------------------------------------------------------------------------------------

    def _assignments(self, course: Course) -> None:
        seen: set[int] = set()
        published: set[int] = set()
        hidden: set[int] = set()
        for page in self.canvas.assignments(course.canvas_id):
            self.step()
            rows = list(fresh(page.rows, seen))
            self._apply(course, rows, published, hidden, self._cursor(len(seen), page.next))
        args = {"p_course_id": course.id, "p_seen": sorted(published)}
        missing = set(self.rpc("svc_missing_assignments", args))
        unseen = missing - hidden
        gone: set[int] = set()
        if unseen:
            second = self.canvas.confirm_gone(course.canvas_id, unseen)
            back = [(number, row) for row in second.still_there if (number := row_id(row)) is not None]
            self._apply(course, back, published, hidden, self._cursor(len(seen) + len(back), None))
            gone |= second.gone
        finished = {
            "p_course_id": course.id,
            "p_gone": sorted(gone - hidden),
            "p_unpublished": sorted(hidden),
            "p_cursor": self._cursor(len(seen), None, self.now()),
        }
        self.report.assignments.removed += self.rpc("svc_finish_assignments", finished)

    def _apply(
        self, course: Course, rows: list[tuple[int, Row]], published: set[int], hidden: set[int], cursor: Row
    ) -> None:
        shown = []
        for number, row in rows:
            if is_published(row):
                published.add(number)
                shown.append(assignment_row(row, number))
            else:
                # a teacher's draft is not stored, and one that was stored before is hidden from learners now
                hidden.add(number)
                self.report.assignments.seen += 1
                self.report.assignments.unchanged += 1
        for chunk in chunks(shown):
            args = {"p_course_id": course.id, "p_assignments": chunk, "p_cursor": cursor}
            counts = self.rpc("svc_apply_assignments", args)[0]
            for outcome, amount in counts.items():
                count(self.report.assignments, outcome, amount)

    def _cursor(self, seen: int, following: str | None, complete_at: datetime | None = None) -> Row:
        done = complete_at.isoformat() if complete_at else None
        return {"run": self.run_id, "listing": "assignments", "next": following, "seen": seen, "complete_at": done}


def fresh(page: list[Row], seen: set[int]) -> Iterator[tuple[int, Row]]:
    """The rows of a page that have a usable id and were not on an earlier page, each once."""
    for row in page:
        number = row_id(row)
        if number is not None and number not in seen:
            seen.add(number)
            yield number, row


def chunks(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in portions for one call to the database each."""
    portion: list[Row] = []
    size = 0
    for row in rows:
        weight = len(row["description_html"] or "") + 2000
        if portion and size + weight > MAX_CHUNK_CHARACTERS:
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += weight
    if portion:
        yield portion


def count(counts: CourseCounts | AssignmentCounts, outcome: str, amount: int = 1) -> None:
    """Adds to one of the counters."""
    setattr(counts, outcome, getattr(counts, outcome) + amount)
