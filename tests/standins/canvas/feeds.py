"""Calendar feeds: ``/feeds/calendars/user_secret<id>.ics``, written as Canvas writes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, current_app, request

from tests.standins.canvas.world import Assignment, Course, World

feeds = Blueprint("feeds", __name__)
PAST, AHEAD = timedelta(days=30), timedelta(days=366)


@feeds.get("/feeds/calendars/user_secret<int:person_id>.ics")
def feed(person_id: int) -> Response:
    """What the person still sees, of a month ago to a year ahead. Whoever asks for a new address ends the old one."""
    state: World = current_app.config["WORLD"]
    with state.lock:
        if person_id not in state.people or person_id in state.closed_feeds:
            return Response("Not Found", status=404, content_type="text/plain")
        content = state.feed_content or calendar(state, person_id)
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return Response(status=304, headers={"ETag": etag})
    return Response(content, content_type="text/calendar; charset=utf-8", headers={"ETag": etag})


def calendar(state: World, person_id: int) -> bytes:
    """The whole calendar of a person."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:icalendar-ruby",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{state.people[person_id].name} Calendar (Canvas)",
    ]
    for course in state.courses_of(person_id):
        if course.workflow_state == "available":
            for assignment in state.assignments_of(course.id, person_id):
                lines += _event(course, assignment)
            lines += _lecture(course, state.today)
    return "".join(f"{part}\r\n" for line in [*lines, "END:VCALENDAR"] for part in _folded(line)).encode()


def _event(course: Course, assignment: Assignment) -> Iterator[str]:
    if assignment.due_at is None or not assignment.published:
        return
    due = datetime.fromisoformat(assignment.due_at)
    if not datetime.now(UTC) - PAST <= due <= datetime.now(UTC) + AHEAD:
        return
    local = due.astimezone(ZoneInfo(course.time_zone))
    html = assignment.description or ""
    yield "BEGIN:VEVENT"
    yield "DTSTAMP:20260820T120000Z"
    yield f"UID:event-assignment-{assignment.id}"
    if (local.hour, local.minute) == (23, 59):
        # Canvas names the parameter twice
        yield f"DTSTART;VALUE=DATE;VALUE=DATE:{local:%Y%m%d}"
    else:
        yield f"DTSTART:{due:%Y%m%dT%H%M%SZ}"
        yield f"DTEND:{due:%Y%m%dT%H%M%SZ}"
    yield "CLASS:PUBLIC"
    if html:
        yield f"DESCRIPTION:{_escaped(re.sub('<[^>]+>', '', html))}"
    yield "SEQUENCE:0"
    yield f"SUMMARY:{_escaped(f'{assignment.name} [{course.course_code}]')}"
    yield (
        f"URL;VALUE=URI:{request.host_url}calendar?include_contexts=course_{course.id}"
        f"&month={due:%m}&year={due:%Y}#assignment_{assignment.id}"
    )
    if html:
        yield f"X-ALT-DESC;FMTTYPE=text/html:{_escaped(html)}"
    yield "END:VEVENT"


def _lecture(course: Course, today: datetime) -> Iterator[str]:
    """An event that is no assignment."""
    yield "BEGIN:VEVENT"
    yield f"UID:event-calendar-event-{course.id}"
    yield f"DTSTART:{today + timedelta(days=1):%Y%m%dT%H%M%SZ}"
    yield f"SUMMARY:{_escaped(f'Lecture [{course.course_code}]')}"
    yield (
        f"URL;VALUE=URI:{request.host_url}calendar?include_contexts=course_{course.id}"
        f"&month={today:%m}&year={today:%Y}#calendar_event_{course.id}"
    )
    yield "END:VEVENT"


def _escaped(text: str) -> str:
    for found, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r", ""), ("\n", "\\n")):
        text = text.replace(found, written)
    return text


def _folded(line: str) -> Iterator[str]:
    """Lines of at most 75 characters, the further ones behind a blank."""
    yield line[:75]
    for start in range(75, len(line), 74):
        yield f" {line[start : start + 74]}"
