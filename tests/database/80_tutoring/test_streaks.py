"""Streaks: equal to a set of dates, in many zones; travel, freezes and late answers."""

from __future__ import annotations

import os
import random
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import psycopg
import pytest

from scripts.benchmarks import _practice as model
from tests.support.people import act_as, freeze, persona
from tests.support.rows import one
from tests.support.tutoring import first

Connection = psycopg.Connection[Any]
CREDIT = "select private.credit_day(%s, null, %s, %s)"
STREAK = "select length, state, freezes_left from private.streak_of(%s, null, %s, %s)"
# there are fewer than 600 zones, so STREAK_CASES=600 asks for all
CASES = int(os.environ.get("STREAK_CASES", "25"))
ALWAYS = ["Pacific/Apia", "America/Santiago", "Africa/Casablanca", "Australia/Lord_Howe"]


def noon(day: date, zone: str) -> datetime:
    """Noon on a date, where there is one."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def days_in(db: Connection, student: uuid.UUID, kind: str) -> set[date]:
    """The student's days of a kind."""
    found = db.execute(
        "select day from private.activity_days where student_id = %s and kind::text = %s", (student, kind)
    )
    return {row[0] for row in found}


def test_streaks_equal_a_set_of_dates(db: Connection) -> None:
    dice = random.Random(15)
    known = {name for (name,) in db.execute("select name from pg_timezone_names")}
    others = sorted(available_timezones() & known - {"localtime"})
    zones = ALWAYS + sorted(dice.sample(others, min(CASES, len(others))))
    for zone in zones:
        student = persona(db)
        start = date(2011, 12, 20) if zone == "Pacific/Apia" else date(dice.randint(2005, 2036), dice.randint(1, 12), 1)
        worked = {start + timedelta(days=n) for n in range(40) if dice.random() < 0.85}
        worked = {day for day in worked if model.exists(day, zone)}
        # in no order, as late answers come, and at any time of the day
        for day in sorted(worked, key=lambda _: dice.random()):
            db.execute(CREDIT, (student, noon(day, zone) + timedelta(hours=dice.randint(-9, 9)), zone))
        assert days_in(db, student, "active") == worked, zone
        for ahead in (0, 1, 2, 3, 5):
            today = max(worked) + timedelta(days=ahead)
            found = first(db, STREAK, (student, noon(today, zone), zone))
            assert found == model.streak(worked, noon(today, zone).astimezone(ZoneInfo(zone)).date(), zone), (
                zone,
                today,
            )


def test_a_late_answer_gives_its_freeze_back(db: Connection) -> None:
    student = persona(db)
    days = [date(2031, 5, 1) + timedelta(days=n) for n in range(10)]
    for day in (*days[:7], days[8]):
        db.execute(CREDIT, (student, noon(day, "UTC"), "UTC"))
    assert days_in(db, student, "freeze") == {days[7]}
    assert first(db, STREAK, (student, noon(days[8], "UTC"), "UTC")) == (9, "active", 0)
    db.execute(CREDIT, (student, noon(days[7], "UTC"), "UTC"))
    assert days_in(db, student, "freeze") == set()
    assert first(db, STREAK, (student, noon(days[9], "UTC"), "UTC")) == (9, "at_risk", 1)
    ledger = "select array_agg(kind::text || day order by day) from private.streak_freezes where student_id = %s"
    assert one(db, ledger, (student,)) == [f"earned{days[6]}"]


@pytest.mark.parametrize(("hours", "days"), [(1, 1), (7.9, 1), (8, 2)])
def test_a_flight_is_no_second_day(db: Connection, hours: float, days: int) -> None:
    student = persona(db)
    evening = datetime(2031, 5, 9, 21, 30, tzinfo=UTC)
    db.execute(CREDIT, (student, evening, "Europe/London"))
    db.execute(CREDIT, (student, evening + timedelta(hours=hours), "Asia/Tokyo"))
    assert len(days_in(db, student, "active")) == days


def test_midnight_is_a_new_day_for_whoever_stays(db: Connection) -> None:
    student = persona(db)
    for minute in (50, 70):
        db.execute(CREDIT, (student, datetime(2031, 5, 9, 22, tzinfo=UTC) + timedelta(minutes=minute), "Europe/London"))
    assert len(days_in(db, student, "active")) == 2


def test_a_new_zone_counts_from_the_next_midnight_once_a_week(db: Connection) -> None:
    student = persona(db)
    zone = "select private.streak_zone(%s, %s)"
    at = datetime(2031, 5, 9, 10, tzinfo=UTC)
    freeze(db, at.isoformat())
    db.execute(CREDIT, (student, at, "UTC"))

    def choose(name: str) -> Any:
        with act_as(db, student):
            db.execute("update public.profiles set timezone = %s", (name,))
        return first(
            db,
            "select timezone, pending_timezone, timezone_changed_at from public.profiles where user_id = %s",
            (student,),
        )

    midnight = datetime(2031, 5, 10, tzinfo=UTC)
    assert choose("Asia/Tokyo") == ("Asia/Tokyo", "Asia/Tokyo", midnight)
    assert choose("America/New_York") == ("America/New_York", "America/New_York", midnight)
    assert one(db, zone, (student, midnight - timedelta(seconds=1))) == "UTC"
    assert one(db, zone, (student, midnight)) == "America/New_York"
    freeze(db, (midnight + timedelta(hours=20)).isoformat())
    assert one(db, "select private.settle_timezone(%s, private.clock())", (student,)) == "America/New_York"
    db.execute(CREDIT, (student, midnight + timedelta(hours=20), "America/New_York"))
    assert choose("UTC")[2] == datetime(2031, 5, 17, 4, tzinfo=UTC), "a midnight in New York, a week later"
    assert one(db, zone, (student, midnight + timedelta(days=3))) == "America/New_York"
