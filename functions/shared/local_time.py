"""Instants as people say them: the day and time of a place, with the weekday."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def zone(name: str | None) -> ZoneInfo:
    """The zone of an IANA name. An unknown name, or none, counts as UTC."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def zone_of(profile_zone: str | None, profile_source: str | None, course_zone: str | None) -> str:
    """The zone in which a person is told a course's times: their own if they or Canvas set it, else the course's."""
    own = profile_zone if profile_zone and profile_source != "default" else None
    return str(own or course_zone or profile_zone or "UTC")


def local_text(moment: datetime, zone_name: str | None) -> str:
    """A moment with weekday, day, time and zone: ``Friday 9 May 2031, 23:59 (Europe/Berlin)``.

    A moment without a zone counts as UTC.
    """
    place = zone(zone_name)
    there = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(place)
    day = f"{WEEKDAYS[there.weekday()]} {there.day} {MONTHS[there.month - 1]} {there.year}"
    return f"{day}, {there:%H:%M} ({place.key})"
