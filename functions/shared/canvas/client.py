"""Courses and assignments of Canvas, and whether a missing assignment is really gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from functions.shared.canvas.authenticated import AuthenticatedCanvas
from functions.shared.canvas.errors import CanvasBadAnswer, CourseForbidden, CourseGone
from functions.shared.canvas.transport import CanvasRefused, Counters, Page, Query, pages

PER_PAGE = "100"
MAX_CONFIRMED_IDS = 50  # in one request: Canvas leaves out the paging links when the query is very long
MAX_BIGINT = 2**63 - 1

Row = dict[str, Any]


@dataclass(frozen=True)
class Confirmation:
    """What a second look found for assignments that a listing did not show: gone, or still there.

    An assignment in neither may be one or the other, and stays as it is.
    """

    gone: frozenset[int]
    still_there: list[Row]


class Canvas:
    """What one person sees at Canvas. Every call may raise the errors of ``errors.py``."""

    def __init__(self, authenticated: AuthenticatedCanvas) -> None:
        self._canvas = authenticated

    @property
    def counters(self) -> Counters:
        """The requests that were sent so far."""
        return self._canvas.transport.counters

    def courses(self) -> Iterator[Page]:
        """The active courses, page by page. Concluded and deleted ones are missing, restricted ones are stubs."""
        return self._list("/api/v1/courses", {"enrollment_state": "active", "include[]": ["term"]})

    def course(self, course_id: int) -> Row:
        """One course.

        :raise CourseGone, CourseForbidden: the course is deleted or closed to this person
        """
        row = self._canvas.get(f"/api/v1/courses/{course_id}", {"include[]": ["term", "concluded"]})
        if row_id(row) != course_id:
            raise CanvasBadAnswer(details="Canvas answered with another course")
        return dict(row)

    def assignments(self, course_id: int) -> Iterator[Page]:
        """A course's assignments as this person sees them, page by page, with their own submission if there is one."""
        return self.pages_from(self.first_assignments(course_id))

    def first_assignments(self, course_id: int) -> str:
        """The address of the first page of a course's assignments."""
        return self._first(f"/api/v1/courses/{course_id}/assignments", {"include[]": ["submission"]})

    def pages_from(self, address: str, *, is_single: bool = False) -> Iterator[Page]:
        """A list from this page on, or this page alone. A stored address is checked as a new one is."""
        first = self._canvas.transport.stored(address)
        if is_single:
            yield self._canvas.page(first)
        else:
            yield from pages(first, self._canvas.page)

    def stop(self) -> None:
        """Ends what waits for Canvas in other threads. Afterwards no request begins."""
        self._canvas.transport.throttle.stop()

    def confirm_gone(self, course_id: int, ids: Iterable[int]) -> Confirmation:
        """Looks again for assignments that a complete listing did not show.

        Canvas refuses ``assignment_ids[]`` with a list of the invisible ids, so one call checks many assignments.
        """
        gone: set[int] = set()
        there: list[Row] = []
        asked = sorted(set(ids))
        for start in range(0, len(asked), MAX_CONFIRMED_IDS):
            batch = set(asked[start : start + MAX_CONFIRMED_IDS])
            rows, refused = self._asked_for(course_id, batch)
            gone |= refused
            there += rows
            # an answer that leaves an id out proves nothing
            silent = batch - refused - {row_id(row) for row in rows}
            gone_here, there_here = self._one_by_one(course_id, sorted(silent))
            gone |= gone_here
            there += there_here
        return Confirmation(frozenset(gone), there)

    def _asked_for(self, course_id: int, batch: set[int]) -> tuple[list[Row], set[int]]:
        """The rows of these ids that Canvas shows, and the ids that it names as invisible."""
        refused: set[int] = set()
        # once more, because the refusal names all that are invisible; others may vanish in between
        for _ in range(2):
            try:
                left = sorted(batch - refused)
                rows = self._named(course_id, left) if left else []
            except CanvasRefused as error:
                named = named_ids(error.answer) & batch
                if not named:
                    break
                refused |= named
            else:
                return [row for row in rows if row_id(row) in batch], refused
        return [], refused

    def _named(self, course_id: int, ids: list[int]) -> list[Row]:
        query: Query = {"assignment_ids[]": [str(number) for number in ids], "include[]": ["submission"]}
        listing = self._list(f"/api/v1/courses/{course_id}/assignments", query)
        return [row for page in listing for row in page.rows]

    def _one_by_one(self, course_id: int, ids: list[int]) -> tuple[set[int], list[Row]]:
        gone, there = set(), []
        for number in ids:
            path = f"/api/v1/courses/{course_id}/assignments/{number}"
            try:
                row = dict(self._canvas.get(path, {"include[]": ["submission"]}))
            except CourseGone:
                gone.add(number)
            except CourseForbidden:
                continue  # it exists, but is not shown to this person now
            else:
                if row_id(row) == number:
                    there.append(row)
        return gone, there

    def announcements(self, course_ids: Iterable[int], start: datetime, end: datetime) -> Iterator[Page]:
        """What was announced in these courses between two moments, page by page.

        :param course_ids: a few, because Canvas leaves out the paging links when the query is very long
        :raise CourseGone, CourseForbidden: one of the courses is deleted or closed to this person
        """
        query: Query = {
            "context_codes[]": [f"course_{number}" for number in course_ids],
            "start_date": start.isoformat(),
            "end_date": end.isoformat(),
            "active_only": "true",
        }
        return self._list("/api/v1/announcements", query)

    def modules(self, course_id: int) -> Iterator[Page]:
        """A course's modules in their order, page by page, each with its ``items`` where Canvas sends them along.

        :raise CourseGone, CourseForbidden: the course shows this person no modules
        """
        return self._list(f"/api/v1/courses/{course_id}/modules", {"include[]": ["items"]})

    def module_items(self, course_id: int, module_id: int) -> Iterator[Page]:
        """The items of one module in their order, page by page."""
        return self._list(f"/api/v1/courses/{course_id}/modules/{module_id}/items", {})

    def planner_overrides(self) -> Iterator[Page]:
        """What the person marked complete or dismissed in the to-do list of Canvas, page by page."""
        return self._list("/api/v1/planner/overrides", {})

    def syllabus(self, course_id: int) -> Row:
        """A course with its ``syllabus_body``, which a scoped key without include parameters leaves out.

        :raise CourseGone, CourseForbidden: the course is deleted or closed to this person
        """
        return dict(self._canvas.get(f"/api/v1/courses/{course_id}", {"include[]": ["syllabus_body"]}))

    def page(self, course_id: int, name: str) -> Row:
        """A page of a course with its body.

        :param name: its name in addresses; Canvas follows names that it had before
        :raise CourseGone, CourseForbidden: there is no such page, or this person may not see it
        """
        url_or_id = quote(name, safe="")
        return dict(self._canvas.get(f"/api/v1/courses/{course_id}/pages/{url_or_id}"))

    def file(self, course_id: int, file_id: int) -> Row:
        """A file of a course. Its ``url`` opens the file without signing in: it is a secret.

        :raise CourseGone, CourseForbidden: there is no such file, or this person may not see it
        """
        row = dict(self._canvas.get(f"/api/v1/courses/{course_id}/files/{file_id}"))
        if row_id(row) != file_id:
            raise CanvasBadAnswer(details="Canvas answered with another file")
        return row

    def _list(self, path: str, query: Query) -> Iterator[Page]:
        return pages(self._first(path, query), self._canvas.page)

    def _first(self, path: str, query: Query) -> str:
        return self._canvas.transport.first(path, {**query, "per_page": PER_PAGE})


def row_id(row: Row) -> int | None:
    """A row's id, which Canvas may send as number or text. None when the database cannot store it."""
    value = row.get("id")
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_BIGINT:
        return value
    return None


def named_ids(body: object) -> set[int]:
    """The ids in ``{"message": "Invalid assignment_ids: 7,9"}``. Empty when the refusal says something else."""
    message = body.get("message") if isinstance(body, dict) else None
    match = re.fullmatch(r"Invalid assignment_ids: ([0-9, ]+)", message) if isinstance(message, str) else None
    return {int(number) for number in re.findall(r"[0-9]+", match[1])} if match else set()
