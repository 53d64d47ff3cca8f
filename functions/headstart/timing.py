"""Suggests study blocks between now and the due date, in the student's evenings."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from functions.shared.clock import utc
from functions.shared.local_time import zone

MAX_BLOCK_MINUTES = 50
MAX_BLOCKS = 8
HOURS = (17, 18, 19, 20)
HORIZON_DAYS = 14
LEAD = timedelta(minutes=15)


def suggested_blocks(minutes: int, due_at: datetime | None, now: datetime, time_zone: str) -> list[dict[str, str]]:
    """Blocks of at most 50 minutes that end before the due date: first one in each evening, then more.

    :param time_zone: IANA name; an unknown one counts as UTC
    """
    place = zone(time_zone)
    end = min(due_at or now + timedelta(days=HORIZON_DAYS), now + timedelta(days=HORIZON_DAYS))
    wanted = min(MAX_BLOCKS, max(1, -(-minutes // MAX_BLOCK_MINUTES)))
    length = timedelta(minutes=min(MAX_BLOCK_MINUTES, max(10, -(-minutes // wanted))))
    today = now.astimezone(place).date()
    slots = [
        datetime.combine(today + timedelta(days=day), time(hour), place).astimezone(UTC)
        for hour in HOURS
        for day in range(HORIZON_DAYS + 1)
    ]
    fitting = [slot for slot in slots if slot >= now + LEAD and slot + length <= end]
    if not fitting:
        # no evening is left, so the block begins at once if there is time
        start = (now + LEAD).replace(second=0, microsecond=0)
        fitting = [start] if start + length <= end else []
    return [{"start_at": utc(slot), "end_at": utc(slot + length)} for slot in sorted(fitting[:wanted])]
