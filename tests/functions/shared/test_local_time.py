"""Days, not instants."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from functions.shared.local_time import local_text, zone_of

# 23:59 in Berlin on Friday, and already Saturday in Auckland
MOMENT = datetime(2031, 5, 9, 21, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "Friday 9 May 2031, 23:59 (Europe/Berlin)"),
        ("Pacific/Auckland", "Saturday 10 May 2031, 09:59 (Pacific/Auckland)"),
        ("America/Los_Angeles", "Friday 9 May 2031, 14:59 (America/Los_Angeles)"),
        ("Mars/Olympus", "Friday 9 May 2031, 21:59 (UTC)"),
        ("../etc/nothing", "Friday 9 May 2031, 21:59 (UTC)"),
        ("", "Friday 9 May 2031, 21:59 (UTC)"),
        (None, "Friday 9 May 2031, 21:59 (UTC)"),
    ],
)
def test_a_moment_is_told_as_the_day_of_a_place(zone: str | None, text: str) -> None:
    assert local_text(MOMENT, zone) == text


@pytest.mark.parametrize(
    ("profile", "source", "course", "told"),
    [
        ("Asia/Tokyo", "person", "Europe/Berlin", "Asia/Tokyo"),
        ("Asia/Tokyo", "canvas", "Europe/Berlin", "Asia/Tokyo"),
        ("UTC", "person", "Europe/Berlin", "UTC"),
        ("UTC", "default", "Europe/Berlin", "Europe/Berlin"),
        ("UTC", "default", None, "UTC"),
        (None, None, None, "UTC"),
    ],
)
def test_the_zone_is_the_persons_else_the_courses(
    profile: str | None, source: str | None, course: str | None, told: str
) -> None:
    assert zone_of(profile, source, course) == told
