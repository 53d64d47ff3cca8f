"""Study blocks: before the due date, in the evenings of the student's own time zone."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from functions.headstart.timing import suggested_blocks

NOW = datetime(2031, 3, 28, 9, 0, tzinfo=UTC)  # the clocks change in Berlin on the 30th


def spans(
    minutes: int, due: datetime | None, zone: str = "UTC", now: datetime = NOW
) -> list[tuple[datetime, datetime]]:
    blocks = suggested_blocks(minutes, due, now, zone)
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
