"""Study blocks: before the due date, in the evenings of the student's own time zone."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from functions.headstart.timing import Times, read_times, suggested_blocks

NOW = datetime(2031, 3, 28, 9, 0, tzinfo=UTC)  # the clocks change in Berlin on the 30th


def spans(
    minutes: int, due: datetime | None, zone: str = "UTC", now: datetime = NOW, times: Times | None = None
) -> list[tuple[datetime, datetime]]:
    blocks = suggested_blocks(minutes, due, now, zone, times)
    assert all(text.endswith("Z") for block in blocks for text in block.values())
    return [(datetime.fromisoformat(b["start_at"]), datetime.fromisoformat(b["end_at"])) for b in blocks]


def test_one_evening_after_the_other_at_local_time_across_the_change_of_clocks() -> None:
    found = spans(150, NOW + timedelta(days=10), "Europe/Berlin")
    assert [start.astimezone(ZoneInfo("Europe/Berlin")).hour for start, _ in found] == [17, 17, 17]
    assert [start.hour for start, _ in found] == [16, 16, 15]
    assert sum((end - start for start, end in found), timedelta()) == timedelta(minutes=150)


@pytest.mark.parametrize("hours", [0.1, 0.5, 1, 5, 9, 12, 30, 100, 1000])
@pytest.mark.parametrize("minutes", [5, 50, 90, 300, 6000])
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kathmandu", "Nowhere/Town"])
def test_blocks_lie_between_now_and_the_due_date_and_never_overlap(hours: float, minutes: int, zone: str) -> None:
    due = NOW + timedelta(hours=hours)
    found = spans(minutes, due, zone)
    assert len(found) <= 8
    assert all(NOW < start < end <= due and end - start <= timedelta(minutes=50) for start, end in found)
    assert all(end <= following for (_, end), (following, _) in itertools.pairwise(found))


def test_there_is_something_even_without_a_due_date_and_nothing_after_it() -> None:
    assert len(spans(90, None)) == 2
    assert spans(90, NOW - timedelta(days=1)) == []


def test_when_no_evening_is_left_it_begins_at_once() -> None:
    ((start, _),) = spans(30, NOW + timedelta(hours=2))
    assert start == NOW + timedelta(minutes=15)


BERLIN = ZoneInfo("Europe/Berlin")


def local(found: list[tuple[datetime, datetime]]) -> list[str]:
    return [f"{start.astimezone(BERLIN):%a %H:%M}-{end.astimezone(BERLIN):%H:%M}" for start, end in found]


def busy(*hours: str) -> tuple[tuple[datetime, datetime], ...]:
    """Planned blocks on Friday the 28th, as ``16:00-17:00`` in UTC."""
    day = NOW.date()
    return tuple(
        (datetime.fromisoformat(f"{day}T{start}:00+00:00"), datetime.fromisoformat(f"{day}T{end}:00+00:00"))
        for start, end in (one.split("-") for one in hours)
    )


def test_the_students_own_hours_lengths_and_pauses() -> None:
    hours = [(6, "10:00", "12:00"), (7, "09:00", "10:00"), (5, "12:00", "13:00")]
    times = Times(hours=hours, block_minutes=40, break_minutes=20, max_minutes_per_day=100)
    found = local(spans(200, NOW + timedelta(days=6), "Europe/Berlin", times=times))
    # one on each day first; on Saturday there is room for a second, and on Sunday the clocks change before it begins
    assert found == ["Fri 12:00-12:40", "Sat 10:00-10:40", "Sat 11:00-11:40", "Sun 09:00-09:40"]


def test_what_is_planned_is_kept_free_with_a_pause_and_counts_for_the_day() -> None:
    def friday(minutes: int, times: Times) -> list[tuple[datetime, datetime]]:
        return spans(minutes, NOW + timedelta(hours=12), "Europe/Berlin", times=times)

    free = Times(buffer_hours=0)
    assert local(friday(100, free)) == ["Fri 17:00-17:50", "Fri 18:00-18:50"]
    taken = Times(buffer_hours=0, busy=busy("15:30-16:30", "18:00-18:10"))
    assert local(friday(200, taken)) == ["Fri 17:40-18:30", "Fri 19:20-20:10"]
    just_before = Times(buffer_hours=0, busy=busy("15:00-15:55"))
    assert local(friday(50, just_before)) == ["Fri 17:05-17:55"]
    full = Times(buffer_hours=0, max_minutes_per_day=240, busy=busy("05:00-08:20"))
    assert friday(100, full) == []


def test_work_is_done_some_hours_before_it_is_due_where_that_is_possible() -> None:
    due = datetime(2031, 3, 30, 19, 30, tzinfo=UTC)
    assert [end for _, end in spans(150, due)][-1] <= due - timedelta(hours=12)
    assert [end for _, end in spans(150, due, times=Times(buffer_hours=1))][-1] > due - timedelta(hours=12)
    tight = NOW + timedelta(hours=11)
    assert spans(50, tight) == spans(50, tight, times=Times(buffer_hours=0)) != []


def test_hours_that_do_not_come_before_the_due_date_suggest_nothing() -> None:
    monday = Times(hours=[(1, "09:00", "17:00")])
    assert spans(60, NOW + timedelta(days=2), times=monday) == []


def test_a_night_of_a_clock_change_has_blocks_of_real_length() -> None:
    # at 02:00 the clock jumps to 03:00 in Berlin on Sunday the 30th
    times = Times(hours=[(7, "01:30", "04:00")], block_minutes=30, break_minutes=0)
    found = spans(300, NOW + timedelta(days=6), "Europe/Berlin", times=times)
    assert local(found) == ["Sun 01:30-03:00", "Sun 03:00-03:30", "Sun 03:30-04:00"]
    assert {end - start for start, end in found} == {timedelta(minutes=30)}
    until_midnight = Times(hours=[(7, "23:30", "24:00"), (7, "23:00", "23:45")], block_minutes=25, break_minutes=0)
    evening = spans(50, NOW + timedelta(days=6), "Europe/Berlin", times=until_midnight)
    assert local(evening) == ["Sun 23:00-23:25", "Sun 23:30-23:55"]


def test_rows_become_times() -> None:
    row = {
        "working_hours": [{"weekday": 1, "start": "09:00", "end": "24:00"}],
        "block_minutes": 25,
        "break_minutes": 0,
        "max_minutes_per_day": 25,
        "buffer_hours": 0,
    }
    block = {"start_at": "2031-03-28T09:00:00+00:00", "end_at": "2031-03-28T10:00:00+00:00"}
    assert read_times(row, [block]) == Times(((1, "09:00", "24:00"),), 25, 0, 25, 0, busy("09:00-10:00"))
    assert read_times(None, []) == Times()
