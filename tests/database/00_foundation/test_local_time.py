"""What the database tells people about a moment is what functions/shared/local_time.py tells models."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions.shared.local_time import local_text, zone_of
from tests.support.rows import one

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Los_Angeles",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Mars/Olympus",
    None,
)


@pytest.mark.parametrize("zone", ZONES)
def test_both_say_the_same(db: psycopg.Connection[Any], zone: str | None) -> None:
    chance = random.Random(7)
    # around the clock changes of 2031, and anywhere in thirty years
    moments = [datetime(2031, month, day, 0, 59, tzinfo=UTC) for month, day in ((3, 30), (10, 26), (3, 9), (11, 2))]
    moments += [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(15_000_000)) for _ in range(200)]
    statement = "select array_agg(private.local_text(moment, %s) order by nth) from unnest(%s::timestamptz[])"
    said = one(db, statement + " with ordinality as given (moment, nth)", (zone, moments))
    assert said == [local_text(moment, zone) for moment in moments]


def test_both_choose_the_same_zone(db: psycopg.Connection[Any]) -> None:
    for own in ("Europe/Berlin", "", None):
        for source in ("default", "canvas", "person"):
            for course in ("America/Denver", "", None):
                said = one(db, "select private.zone_of(%s, %s, %s)", (own, source, course))
                assert said == zone_of(own, source, course), (own, source, course)
