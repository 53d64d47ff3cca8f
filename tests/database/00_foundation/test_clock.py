"""Tests can stop time and chance; nobody can over the API."""

from __future__ import annotations

import datetime
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.people import act_as, become, freeze, persona
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

MOMENT = datetime.datetime(2031, 3, 9, 23, 30, tzinfo=datetime.UTC)


def test_the_clock_is_now_until_it_is_stopped(db: Connection) -> None:
    assert one(db, "select private.clock() = now()")
    freeze(db, "2031-03-09T23:30:00Z")
    assert one(db, "select private.clock()") == MOMENT


def test_an_empty_setting_is_no_setting(db: Connection) -> None:
    freeze(db, "")
    assert one(db, "select private.clock() = now()")


def test_today_is_the_utc_day_whatever_the_sessions_zone(db: Connection) -> None:
    freeze(db, "2031-03-09T23:30:00Z")
    db.execute("set local time zone 'Pacific/Auckland'")
    assert one(db, "select private.today()") == datetime.date(2031, 3, 9)


def test_the_owner_stops_it_also_while_acting_as_somebody(db: Connection) -> None:
    person = persona(db)
    freeze(db, "2031-03-09T23:30:00Z")
    with act_as(db, person):
        db.execute("select public.touch_last_active()")
        assert one(db, "select last_active from public.user_stats") == MOMENT


def test_a_session_of_the_api_cannot_stop_it(db_url: str) -> None:
    with ring(db_url) as race:
        person = persona(race.owner)
        race.clean_up("auth.users", person)
        with psycopg.connect(make_conninfo(db_url, user="authenticator")) as request:
            become(request, person)
            freeze(request, "2031-03-09T23:30:00Z")
            request.execute("select public.touch_last_active()")
            assert one(request, "select last_active = now() from public.user_stats")
            request.rollback()


@pytest.mark.parametrize("value", ["0", "0.25", "1"])
def test_chance_can_be_stopped(db: Connection, value: str) -> None:
    db.execute("select set_config('app.frozen_jitter', %s, true)", (value,))
    assert one(db, "select private.jitter()") == float(value)


def test_chance_is_between_nought_and_one_and_differs(db: Connection) -> None:
    drawn = [row[0] for row in db.execute("select private.jitter() from generate_series(1, 50)")]
    assert all(0 <= value < 1 for value in drawn)
    assert len(set(drawn)) > 40
