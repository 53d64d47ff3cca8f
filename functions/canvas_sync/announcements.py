"""Announcements of Canvas, which become notifications where they are new (``svc_apply_announcements``).

They are read beside a run and never fail it: what one run misses, a later one finds, because each asks for two weeks.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog

from functions.canvas_sync.mapping import moment, part, text, web_address
from functions.shared.canvas.client import Canvas, Row, row_id
from functions.shared.canvas.errors import CourseForbidden, CourseGone
from functions.shared.canvas.tokens import Rpc
from functions.shared.canvas.transport import InsufficientScopes
from functions.shared.errors import AppError
from functions.shared.jobs import JobCancelled, JobFailure, LeaseLost

log = structlog.get_logger(__name__)

COURSES_AT_ONCE = 10
LOOK_BACK = timedelta(days=14)
AHEAD = timedelta(days=1)  # Canvas's clock may run ahead of ours


class AnnouncementReader:
    """Tells one integration's owner what is new in the courses that are known before the run."""

    def __init__(self, canvas: Callable[[], Canvas], rpc: Rpc, integration_id: str, now: datetime) -> None:
        self._canvas = canvas
        self._rpc = rpc
        self._integration_id = integration_id
        self._now = now
        self._stopped = threading.Event()
        self.requests = 0
        self.throttled = 0

    def stop(self) -> None:
        """Ends after the request that is under way."""
        self._stopped.set()

    def run(self) -> None:
        """Reads and tells everything. A fault is logged."""
        try:
            known = self._rpc("svc_announcement_courses", {"p_integration_id": self._integration_id})
            if known:
                self._read([int(number) for number in known])
        except (AppError, JobCancelled, JobFailure, LeaseLost) as error:
            log.warning("announcements_not_read", integration_id=self._integration_id, reason=type(error).__name__)

    def _read(self, course_ids: list[int]) -> None:
        canvas = self._canvas()
        waiting = [course_ids[start : start + COURSES_AT_ONCE] for start in range(0, len(course_ids), COURSES_AT_ONCE)]
        try:
            while waiting and not self._stopped.is_set():
                batch = waiting.pop(0)
                try:
                    self._tell(canvas, batch)
                except InsufficientScopes:
                    # the person connected before we asked for announcements
                    return
                except (CourseForbidden, CourseGone):
                    # one closed course fails all that were asked for with it
                    half = len(batch) // 2
                    waiting += [part for part in (batch[:half], batch[half:]) if part and len(batch) > 1]
        finally:
            self.requests, self.throttled = canvas.counters.requests, canvas.counters.throttled

    def _tell(self, canvas: Canvas, course_ids: list[int]) -> None:
        pages = canvas.announcements(course_ids, self._now - LOOK_BACK, self._now + AHEAD)
        rows = [row for page in pages for found in page.rows if (row := announcement_row(found))]
        if rows:
            args = {"p_integration_id": self._integration_id, "p_announcements": rows}
            self._rpc("svc_apply_announcements", args)


@contextmanager
def announcements_told(reader: AnnouncementReader) -> Iterator[None]:
    """Reads announcements while the block runs, and waits for the last of them."""
    thread = threading.Thread(target=reader.run, name="announcements", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        reader.stop()
        raise
    finally:
        thread.join()


def announcement_row(found: Row) -> Row | None:
    """A row for ``svc_apply_announcements``; None for what is not posted yet or names no course."""
    number, posted_at = row_id(found), moment(found.get("posted_at"))
    course = re.fullmatch(r"course_([0-9]{1,18})", str(found.get("context_code")))
    if number is None or posted_at is None or course is None:
        return None
    author = part(found, "author").get("id")
    return {
        "canvas_course_id": int(course[1]),
        "canvas_announcement_id": number,
        "title": text(found.get("title")) or "Announcement",
        "posted_at": posted_at,
        "url": web_address(found.get("html_url")),
        "author_id": str(author) if author is not None else None,
    }
