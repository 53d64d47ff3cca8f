"""Reading calendar feeds as Canvas writes them, and whatever else a stranger's address may bring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.canvas_sync.feeds import (
    FULL_FEED_ENTRIES,
    MAX_ENTRIES,
    Feed,
    FeedUnreadable,
    FeedUrlInvalid,
    feed_address,
    read_feed,
)

NOW = datetime(2031, 5, 9, 12, tzinfo=UTC)
ORIGIN = "https://canvas.test"
CONTEXT = "URL;VALUE=URI:https://canvas.test/calendar?include_contexts=course_7&month=10&year=2031#assignment_"


def event(number: int = 1, *lines: str, **changes: str) -> str:
    """One assignment's event; a keyword replaces the line of that name, an empty one leaves it out."""
    known = {
        "UID": f"UID:event-assignment-{number}",
        "DTSTART": "DTSTART:20311013T153000Z",
        "SUMMARY": f"SUMMARY:Essay {number} [BIO 101]",
        "URL": f"{CONTEXT}{number}",
        **changes,
    }
    return "\r\n".join(["BEGIN:VEVENT", *(line for line in known.values() if line), *lines, "END:VEVENT", ""])


def read(*events: str, zone: str = "America/New_York") -> Feed:
    content = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{''.join(events)}END:VCALENDAR\r\n"
    return read_feed(content.encode(), ORIGIN, zone, NOW)


def only(*events: str, zone: str = "America/New_York") -> dict[str, Any]:
    (row,) = read(*events, zone=zone).assignments
    return row


def test_an_assignment_with_its_course() -> None:
    folded = event(
        SUMMARY="SUMMARY:Essay\\, part 1 [BI\r\n O 101 (2)]", URL=f"{CONTEXT}1".replace("course", "co\r\n urse")
    )
    feed = read(folded)
    assert feed.courses == [{"canvas_course_id": 7, "code": "BIO 101 (2)"}]
    (row,) = feed.assignments
    assert row["canvas_assignment_id"] == 1
    assert (row["title"], row["canvas_url"]) == ("Essay, part 1", f"{ORIGIN}/courses/7/assignments/1")
    assert (row["due_at"], row["is_all_day"]) == ("2031-10-13T15:30:00+00:00", False)
    assert feed.until == NOW + timedelta(days=365)


@pytest.mark.parametrize(
    ("start", "zone", "due_at", "is_all_day"),
    [
        ("DTSTART;VALUE=DATE;VALUE=DATE:20311009", "America/New_York", "2031-10-10T03:59:59+00:00", True),
        ("DTSTART;VALUE=DATE:20311209", "America/New_York", "2031-12-10T04:59:59+00:00", True),
        ("DTSTART;VALUE=DATE:20311009", "Asia/Tokyo", "2031-10-09T14:59:59+00:00", True),
        ("DTSTART:20311009T120000", "Asia/Tokyo", "2031-10-09T03:00:00+00:00", False),
        ("DTSTART;TZID=America/Los_Angeles:20311009T235900", "Asia/Tokyo", "2031-10-10T06:59:00+00:00", False),
    ],
)
def test_due_dates(start: str, zone: str, due_at: str, is_all_day: bool) -> None:
    row = only(event(DTSTART=start), zone=zone)
    assert (row["due_at"], row["is_all_day"]) == (due_at, is_all_day)


def test_the_persons_own_date_comes_first() -> None:
    override = event(
        1, UID="UID:event-assignment-override-99@canvas.test", SUMMARY="SUMMARY:Essay 1 (Group 3) [BIO 101]",
        DTSTART="DTSTART:20311001T120000Z",
    )  # fmt: skip
    for order in ([event(1), override], [override, event(1)]):
        row = only(*order)
        assert (row["canvas_assignment_id"], row["title"]) == (1, "Essay 1")
        assert row["due_at"].startswith("2031-10-01")
    later = override.replace("override-99", "override-98").replace("20311001", "20311003")
    assert only(later, override)["due_at"].startswith("2031-10-03")
    # the id of an override is none of an assignment
    assert read(override.replace("#assignment_1", "")).skipped == 1


def test_descriptions_are_cleaned() -> None:
    html = "X-ALT-DESC;FMTTYPE=text/html:<p>Read\\, then\\nwrite <script>alert(1)</script><b>500 words</b></p>"
    found = only(event(1, "DESCRIPTION:Read", html))["description_html"]
    assert "Read, then" in found
    assert "<b>500 words</b>" in found
    assert "alert" not in found
    plain = only(event(1, "DESCRIPTION:1 < 2\\nNext"))["description_html"]
    assert plain == "<p>1 &lt; 2<br>Next</p>"
    assert only(event(1))["description_html"] is None


def test_what_is_no_assignment_is_left_out_and_what_cannot_be_read_is_counted() -> None:
    feed = read(
        event(1),
        event(2, UID="UID:event-calendar-event-2"),
        event(3, UID="UID:something@else"),
        event(4, URL=""),
        event(5, URL="URL:https://canvas.test/calendar?include_contexts=user_5#assignment_5"),
        event(6, DTSTART="DTSTART:20319999"),
        event(7, DTSTART=""),
        event(8, DTSTART="DTSTART;VALUE=DATE:99991231"),
        event(0),
        event(10**19),
        event(9, UID="UID:event-assignment-nine"),
    )
    assert [row["canvas_assignment_id"] for row in feed.assignments] == [1]
    assert feed.skipped == 8
    assert read(event(2, UID="UID:event-calendar-event-2")).courses == [{"canvas_course_id": 7, "code": "BIO 101"}]


def test_a_zone_that_the_file_defines_is_not_looked_at() -> None:
    endless = (
        "BEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nRRULE:FREQ=SECONDLY\r\n"
        "TZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )
    assert only(endless, event(1, DTSTART="DTSTART;TZID=Mine:20311009T120000"))["due_at"] == "2031-10-09T16:00:00+00:00"
    inside = event(1, *endless.strip().split("\r\n"), "BEGIN:VALARM", "UID:event-assignment-5", "END:VALARM")
    assert only(inside)["canvas_assignment_id"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Sign in</html>",
        b"\xff\xfe\x00",
        b"BEGIN:VCALENDAR\r\n",
        f"BEGIN:VCALENDAR\r\n{event(1)}".encode(),
        f"BEGIN:VCALENDAR\r\n{event(1)[:-12]}END:VCALENDAR\r\n".encode(),
        f"{event(1)}".encode(),
        f"BEGIN:VCALENDAR\r\n{'BEGIN:VEVENT' + chr(10) + 'END:VEVENT' + chr(10)}".encode() * 2,
        b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\nEND:VEVENT\n" * (MAX_ENTRIES + 1) + b"END:VCALENDAR\n",
    ],
)
def test_what_is_no_complete_calendar(content: bytes) -> None:
    with pytest.raises(FeedUnreadable):
        read_feed(content, ORIGIN, "UTC", NOW)


def test_a_full_or_empty_calendar_says_nothing_of_what_is_missing() -> None:
    assert read().until == NOW
    lectures = (event(number, UID=f"UID:event-calendar-event-{number}") for number in range(FULL_FEED_ENTRIES))
    assert read(*lectures).until == NOW


@pytest.mark.parametrize(
    ("given", "url", "host"),
    [
        (
            "https://Canvas.Test/feeds/calendars/user_aB3-x.ics",
            "https://canvas.test/feeds/calendars/user_aB3-x.ics",
            "canvas.test",
        ),
        ("webcal://c.test/feeds/calendars/course_x.ics ", "https://c.test/feeds/calendars/course_x.ics", "c.test"),
        ("http://127.0.0.1:80/feeds/calendars/a.ics", "http://127.0.0.1:80/feeds/calendars/a.ics", "127.0.0.1:80"),
    ],
)
def test_addresses(given: str, url: str, host: str) -> None:
    found = feed_address(given, local=True)
    assert (found.url, found.host) == (url, host)
    assert url not in repr(found)


@pytest.mark.parametrize(
    "given",
    [
        "http://c.test/feeds/calendars/a.ics",
        "https://c.test/feeds/calendars/a.ics?x=1",
        "https://c.test/feeds/calendars/a.ics#x",
        "https://c.test/feeds/calendars/../a.ics",
        "https://c.test/calendar/a.ics",
        "https://me:secret@c.test/feeds/calendars/a.ics",
        "https://c.test:port/feeds/calendars/a.ics",
        "https:///feeds/calendars/a.ics",
        "ftp://c.test/feeds/calendars/a.ics",
        f"https://c.test/feeds/calendars/{'a' * 600}.ics",
        "",
    ],
)
def test_addresses_that_are_none(given: str) -> None:
    with pytest.raises(FeedUrlInvalid):
        feed_address(given, local=True)


def test_loopback_needs_a_local_environment() -> None:
    with pytest.raises(FeedUrlInvalid):
        feed_address("http://127.0.0.1:80/feeds/calendars/a.ics", local=False)
