"""Calendar feeds of Canvas: courses and due dates for people whose school gives no developer key.

A feed is read with the strictness that a stranger's file needs. Only known properties of events reach the parser, each
event by itself: one that cannot be read is left out and counted, and time zones that a file defines (whose rules can
keep a parser busy for ever) are never looked at. Nothing is stored unless the whole answer is a calendar.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import icalendar

from functions.canvas_sync.mapping import clean_text, digest, page_of, text
from functions.shared.canvas.client import MAX_BIGINT, Row
from functions.shared.errors import AppError
from functions.shared.local_time import zone
from functions.shared.settings import is_loopback

MAX_FEED_BYTES = 8 * 1024 * 1024
MAX_ENTRIES = 5000
MAX_URL_CHARACTERS = 500
FULL_FEED_ENTRIES = 1000  # Canvas shows no more, so a longer list is cut
AHEAD = timedelta(days=365)  # Canvas shows a little more than a year
END_OF_DAY = time(23, 59, 59)  # what Canvas makes of a due date without a time
URL_FIELD = "url"  # which the envelope of an address is bound to
PATH = re.compile(r"/feeds/calendars/[A-Za-z0-9_-]{1,200}\.ics")
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
PROPERTIES = frozenset({"UID", "SUMMARY", "DTSTART", "URL", "DESCRIPTION", "X-ALT-DESC"})
ASSIGNMENT = "event-assignment-"  # what the UIDs of all assignments begin with
ASSIGNMENT_UID = re.compile(r"event-assignment-(override-)?([0-9]{1,19})(?:@.*)?")
ASSIGNMENT_PATH = re.compile(r"/courses/([0-9]{1,19})/assignments/([0-9]{1,19})/?")


class FeedUrlInvalid(AppError):
    """This is not the address of a Canvas calendar feed. In Canvas open Calendar, then Calendar Feed, and copy it."""

    status = 422
    code = "feed_url_invalid"


class CanvasAlreadyConnected(AppError):
    """Your Canvas account is connected, which brings more than its calendar. Nothing was stored."""

    status = 409
    code = "canvas_already_connected"


class FeedUnreadable(Exception):
    """The answer is not a complete calendar. ``reason`` is for operators and names nothing of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class FeedAddress:
    """Where a feed is: ``url`` is a secret, ``host`` (with its port) is not."""

    url: str = field(repr=False)
    host: str

    @property
    def origin(self) -> str:
        """Scheme and host."""
        return f"{urlsplit(self.url).scheme}://{self.host}"


@dataclass(frozen=True)
class Feed:
    """What a calendar shows, ready for ``svc_apply_feed``. ``skipped`` counts assignments that could not be read."""

    courses: list[Row]
    assignments: list[Row]
    skipped: int
    until: datetime  # a missing assignment that is due before is gone


def feed_address(given: str, *, local: bool) -> FeedAddress:
    """The address that a person copied from Canvas; ``webcal`` means https.

    :param local: http is allowed for loopback hosts
    :raise FeedUrlInvalid: it is none
    """
    try:
        parts = urlsplit(re.sub(r"\Awebcal://", "https://", given.strip(), flags=re.IGNORECASE))
        host, _ = parts.netloc.lower(), parts.port
        name = parts.hostname or ""
    except ValueError as error:
        raise FeedUrlInvalid from error
    is_plain = parts.scheme == "http" and local and is_loopback(name)
    known = PATH.fullmatch(parts.path) and HOST.fullmatch(host) and len(given) <= MAX_URL_CHARACTERS
    if not known or parts.query or parts.fragment or not (parts.scheme == "https" or is_plain):
        raise FeedUrlInvalid
    return FeedAddress(f"{parts.scheme}://{host}{parts.path}", host)


def read_feed(content: bytes, origin: str, time_zone: str, now: datetime) -> Feed:
    """Reads a calendar.

    :param origin: scheme and host of the Canvas, for links
    :param time_zone: of the person, for due dates that have no time
    :raise FeedUnreadable: it is not a complete calendar, or has too many entries
    """
    courses: dict[int, str | None] = {}
    found: dict[int, tuple[tuple[bool, str], Row]] = {}
    entries = skipped = 0
    for lines in _events(content):
        entries += 1
        if entries > MAX_ENTRIES:
            raise FeedUnreadable("too many entries")
        try:
            entry = _Entry.read(lines)
        except (ValueError, TypeError, AttributeError, LookupError):
            skipped += any(ASSIGNMENT in line for line in lines)
            continue
        if entry.course_id is not None:
            courses.setdefault(entry.course_id, None)
            courses[entry.course_id] = courses[entry.course_id] or entry.code
        if not entry.is_assignment:
            continue
        row = entry.row(origin, time_zone)
        if row is None:
            skipped += 1
            continue
        # the person's own date comes first; of several sections, the last date is the one that still counts
        rank = (entry.is_override, row["due_at"])
        known = found.get(row["canvas_assignment_id"])
        if known is None or rank > known[0]:
            found[row["canvas_assignment_id"]] = (rank, row)
    is_whole = 0 < entries < FULL_FEED_ENTRIES
    return Feed(
        [{"canvas_course_id": number, "code": code} for number, code in sorted(courses.items())],
        [row for _, row in found.values()],
        skipped,
        now + AHEAD if is_whole else now,
    )


@dataclass(frozen=True)
class _Entry:
    """One event of a calendar."""

    is_assignment: bool
    is_override: bool
    assignment_id: int | None
    course_id: int | None
    title: str
    code: str | None
    starts: Any
    html: str | None

    @classmethod
    def read(cls, lines: list[str]) -> _Entry:
        event: Any = icalendar.Event.from_ical("\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT", ""]))
        name = _words(event, "UID")
        uid = ASSIGNMENT_UID.fullmatch(name)
        course_id, assignment_id = _ids_of(_words(event, "URL"))
        is_override = bool(uid and uid[1])
        if not is_override:
            assignment_id = _stored(uid[2]) if uid else None
        title, code = _title_of(_words(event, "SUMMARY"), is_override=is_override)
        return cls(
            is_assignment=name.startswith(ASSIGNMENT),
            is_override=is_override,
            assignment_id=assignment_id,
            course_id=course_id,
            title=title,
            code=code,
            starts=event.decoded("DTSTART") if uid else None,
            html=_html_of(event) if uid else None,
        )

    def row(self, origin: str, time_zone: str) -> Row | None:
        """A row of ``svc_apply_feed``; None without ids or a day."""
        due_at = _instant(self.starts, time_zone)
        if self.assignment_id is None or self.course_id is None or due_at is None:
            return None
        page = page_of(self.html)
        html, _ = page.stored() if page else (None, False)
        row = {
            "canvas_course_id": self.course_id,
            "canvas_assignment_id": self.assignment_id,
            "title": self.title or f"Assignment {self.assignment_id}",
            "description_html": html,
            "due_at": due_at.isoformat(),
            "canvas_url": f"{origin}/courses/{self.course_id}/assignments/{self.assignment_id}",
            "is_all_day": not isinstance(self.starts, datetime),
            "html_hash": hashlib.sha256(html.encode()).hexdigest() if html else None,
        }
        return {**row, "content_hash": f"feed:{digest(row)}"}


def _events(content: bytes) -> Iterator[list[str]]:
    """The known lines of each event, unfolded.

    :raise FeedUnreadable: the calendar or an event does not end
    """
    unfolded = re.sub(r"\r?\n[ \t]", "", content.decode("utf-8-sig", "replace"))
    lines = [line for line in re.split(r"\r?\n", unfolded) if line.strip()]
    if len(lines) < 2 or lines[0].strip().upper() != "BEGIN:VCALENDAR":
        raise FeedUnreadable("not a calendar")
    if lines[-1].strip().upper() != "END:VCALENDAR":
        raise FeedUnreadable("the calendar does not end")
    within: list[str] = []
    event: list[str] = []
    for line in lines[1:-1]:
        name, _, value = line.partition(":")
        mark, part = name.strip().upper(), value.strip().upper()
        if mark == "BEGIN":
            within.append(part)
            event = [] if within == ["VEVENT"] else event
        elif mark == "END":
            if not within or within.pop() != part:
                raise FeedUnreadable("an entry does not end")
            if not within and part == "VEVENT":
                yield event
        elif within == ["VEVENT"] and re.split("[;:]", line, maxsplit=1)[0].upper() in PROPERTIES:
            event.append(line)
    if within:
        raise FeedUnreadable("an entry does not end")


def _words(event: Any, name: str) -> str:
    value = event.get(name)
    first = value[0] if isinstance(value, list) else value
    return clean_text(str(first)).strip() if first is not None else ""


def _html_of(event: Any) -> str | None:
    """The description: HTML where Canvas gives it, else its plain text as HTML."""
    if html := _words(event, "X-ALT-DESC"):
        # the parser takes back the escapes of the properties that it knows
        return re.sub(r"\\([\\;,nN])", lambda found: "\n" if found[1] in "nN" else found[1], html)
    plain = _words(event, "DESCRIPTION")
    return f"<p>{escape(plain)}</p>".replace("\n", "<br>") if plain else None


def _ids_of(url: str) -> tuple[int | None, int | None]:
    """Course and assignment that an event's link names, as Canvas writes it."""
    try:
        parts = urlsplit(url)
        contexts = parse_qs(parts.query, max_num_fields=20).get("include_contexts", [""])
    except ValueError:
        return None, None
    course = re.fullmatch(r"course_([0-9]{1,19})", contexts[0])
    assignment = re.fullmatch(r"assignment_([0-9]{1,19})", parts.fragment)
    if direct := ASSIGNMENT_PATH.fullmatch(parts.path):
        return _stored(direct[1]), _stored(direct[2])
    return _stored(course[1]) if course else None, _stored(assignment[1]) if assignment else None


def _stored(digits: str) -> int | None:
    number = int(digits)
    return number if 0 < number <= MAX_BIGINT else None


def _title_of(summary: str, *, is_override: bool) -> tuple[str, str | None]:
    """Title and course code of ``Title [CODE]``; a date of one section has the section's name behind the title."""
    match = re.fullmatch(r"(.*)\[([^\[\]]*)\]", summary, re.DOTALL)
    title, code = (match[1].strip(), text(match[2])) if match else (summary, None)
    if is_override:
        title = re.sub(r"\s\([^()]*\)$", "", title)
    return text(title) or "", code


def _instant(starts: object, time_zone: str) -> datetime | None:
    """When an assignment is due, in UTC. A day without a time ends in the person's zone."""
    try:
        if isinstance(starts, datetime):
            aware = starts if starts.tzinfo else starts.replace(tzinfo=zone(time_zone))
        elif isinstance(starts, date):
            aware = datetime.combine(starts, END_OF_DAY, zone(time_zone))
        else:
            return None
        found = aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if 1970 <= found.year <= 2200 else None
