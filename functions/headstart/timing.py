"""Suggests study blocks between now and the due date: in the student's hours, around what they have planned already.

Hours are local times, and lengths are real time, so a block is as long as it says on the day of a clock change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from functions.shared.clock import utc
from functions.shared.local_time import zone

Span = tuple[datetime, datetime]

MAX_BLOCKS = 8
HORIZON_DAYS = 14
LEAD = timedelta(minutes=15)
EVENING = ("17:00", "21:00")


@dataclass(frozen=True)
class Times:
    """When a student studies, as ``planner_settings`` has it, and what is planned already.

    :param hours: weekday (1 is Monday), start, end as ``HH:MM``; without any, evenings
    """

    hours: Sequence[tuple[int, str, str]] = ()
    block_minutes: int = 50
    break_minutes: int = 10
    max_minutes_per_day: int = 240
    buffer_hours: int = 12
    busy: Sequence[Span] = ()


def read_times(settings: Mapping[str, Any] | None, blocks: Sequence[Mapping[str, str]]) -> Times:
    """The times of a row of planner_settings, or the defaults, and rows of study_blocks."""
    busy = tuple((datetime.fromisoformat(row["start_at"]), datetime.fromisoformat(row["end_at"])) for row in blocks)
    if settings is None:
        return Times(busy=busy)
    return Times(
        hours=tuple((int(row["weekday"]), row["start"], row["end"]) for row in settings["working_hours"]),
        block_minutes=settings["block_minutes"],
        break_minutes=settings["break_minutes"],
        max_minutes_per_day=settings["max_minutes_per_day"],
        buffer_hours=settings["buffer_hours"],
        busy=busy,
    )


def suggested_blocks(
    minutes: int, due_at: datetime | None, now: datetime, time_zone: str, times: Times | None = None
) -> list[dict[str, str]]:
    """Blocks for so many minutes of work: first one on each day, then more, at most ``MAX_BLOCKS``.

    They end ``buffer_hours`` before the due date; where nothing fits there, before the due date itself. A student
    without hours of their own begins at once when no evening is left.

    :param time_zone: IANA name; an unknown one counts as UTC
    """
    times = times or Times()
    horizon = now + timedelta(days=HORIZON_DAYS)
    due = min(due_at or horizon, horizon)
    wanted = min(MAX_BLOCKS, max(1, -(-minutes // times.block_minutes)))
    length = timedelta(minutes=min(times.block_minutes, max(10, -(-minutes // wanted))))
    first = (now + LEAD).replace(second=0, microsecond=0)
    place = zone(time_zone)
    chosen: list[Span] = []
    ends = [due - timedelta(hours=times.buffer_hours), due] if due_at else [due]
    for end in ends:
        chosen = chosen or _chosen(times, (first, end), length, wanted, place)
    if not chosen and not times.hours:
        always = replace(times, hours=[(weekday, "00:00", "24:00") for weekday in range(1, 8)])
        chosen = _chosen(always, (first, due), length, 1, place)
    return [{"start_at": utc(start), "end_at": utc(end)} for start, end in sorted(chosen)]


def _chosen(times: Times, within: Span, length: timedelta, wanted: int, place: ZoneInfo) -> list[Span]:
    """The first slot of each day, then the second of each, until there are as many as wanted."""
    today = within[0].astimezone(place).date()
    days = [today + timedelta(days=ahead) for ahead in range(HORIZON_DAYS + 1)]
    offered = []
    for day in days:
        planned = _planned(times.busy, _window(day, "00:00", "24:00", place))
        left = timedelta(minutes=times.max_minutes_per_day) - planned
        windows = [(max(start, within[0]), min(end, within[1])) for start, end in _windows(times, day, place)]
        offered.append(list(_free(times, windows, length))[: max(0, left // length)])
    ranked = sorted((number, slot) for slots in offered for number, slot in enumerate(slots))
    return [slot for _, slot in ranked[:wanted]]


def _windows(times: Times, day: date, place: ZoneInfo) -> list[Span]:
    """The hours of a day in UTC, in their order."""
    hours = [(start, end) for weekday, start, end in times.hours if weekday == day.isoweekday()]
    return sorted(_window(day, start, end, place) for start, end in (hours if times.hours else [EVENING]))


def _window(day: date, start: str, end: str, place: ZoneInfo) -> Span:
    return _moment(day, start, place), _moment(day, end, place)


def _moment(day: date, clock: str, place: ZoneInfo) -> datetime:
    """A local time in UTC. One that a clock change leaves out counts as an hour later."""
    if clock == "24:00":
        day, clock = day + timedelta(days=1), "00:00"
    return datetime.combine(day, time.fromisoformat(clock), place).astimezone(UTC)


def _free(times: Times, windows: Sequence[Span], length: timedelta) -> Iterator[Span]:
    """Slots one after the other, a pause apart from each other and from what is planned."""
    pause = timedelta(minutes=times.break_minutes)
    busy = sorted(times.busy)
    at = datetime.min.replace(tzinfo=UTC)
    for start, end in windows:
        at = max(at, start)
        while at + length <= end:
            clash = next((one for one in busy if one[0] < at + length + pause and at < one[1] + pause), None)
            if clash is None:
                yield at, at + length
                at += length + pause
            else:
                at = clash[1] + pause


def _planned(busy: Sequence[Span], day: Span) -> timedelta:
    """How much of a day is planned."""
    spans = (min(end, day[1]) - max(start, day[0]) for start, end in busy)
    return sum((span for span in spans if span > timedelta()), timedelta())
