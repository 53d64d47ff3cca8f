"""One run: it lists the courses, then the assignments of all courses at the same time (listings.py).

Whatever Canvas does, and wherever the process is killed:
- a page and its cursor are written together, and the run goes on behind the last page that was written;
- a missing course or assignment counts as gone only after a complete list and a second look;
- a course that fails is reported and does not stop the others;
- a run without changes writes nothing to courses and assignments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from functions.canvas_sync.listings import Course, ListingSync
from functions.canvas_sync.mapping import course_row, is_stub
from functions.canvas_sync.report import Report, count
from functions.shared.canvas.client import Canvas, Row, row_id
from functions.shared.canvas.errors import CanvasError, CourseForbidden, CourseGone, ReauthorizationRequired
from functions.shared.canvas.tokens import Rpc
from functions.shared.canvas.transport import InsufficientScopes

OVER = ("completed", "deleted")


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
    listed: list[Course] = field(default_factory=list)  # the courses of this run

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
            self.listed = due
            listings = ListingSync(
                self.canvas, self.rpc, self.integration_id, self.run_id, self.report, self.step, self.now
            )
            listings.run(due)
        finally:
            self.report.requests += self.canvas.counters.requests - before[0]
            self.report.throttled += self.canvas.counters.throttled - before[1]

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


def fresh(page: list[Row], seen: set[int]) -> Iterator[tuple[int, Row]]:
    """The rows of a page that have a usable id and were not on an earlier page, each once."""
    for row in page:
        number = row_id(row)
        if number is not None and number not in seen:
            seen.add(number)
            yield number, row
