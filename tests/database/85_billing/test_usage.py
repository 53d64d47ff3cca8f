"""Quotas: taken and given back by the services, counted by period, never past the limit."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import one
from tests.support.usage import TERMS, limit

Connection = psycopg.Connection[Any]
TAKE = "select taken, used, max_used from public.svc_take_usage(%s, %s, %s)"
RETURN = "select public.svc_return_usage(%s, %s, %s)"
USED = "select used from private.usage_counters where user_id = %s and meter = %s and period_start = %s"


def test_without_a_plan_nothing_is_refused_and_everything_is_counted(db: Connection) -> None:
    freeze(db, "2030-02-28T23:59:59Z")
    me, other = persona(db), persona(db)
    with act_as(db, None, "service_role"):
        assert db.execute(TAKE, (me, "document_mb", 50)).fetchone() == (True, 50, None)
        assert db.execute(TAKE, (me, "document_mb", 1_000_000_000)).fetchone() == (True, 1_000_000_050, None)
        assert db.execute(TAKE, (me, "lecture_minutes", 3)).fetchone() == (True, 3, None)
        assert db.execute(TAKE, (other, "document_mb", 1)).fetchone() == (True, 1, None)


def test_a_limit_holds_to_the_last_unit_and_what_failed_comes_back(db: Connection) -> None:
    me = persona(db)
    limit(db, 10)
    assert db.execute(TAKE, (me, "document_mb", 11)).fetchone() == (False, 0, 10)
    assert db.execute(TAKE, (me, "document_mb", 9)).fetchone() == (True, 9, 10)
    assert db.execute(TAKE, (me, "document_mb", 2)).fetchone() == (False, 9, 10)
    assert db.execute(TAKE, (me, "document_mb", 1)).fetchone() == (True, 10, 10)
    db.execute(RETURN, (me, "document_mb", 4))
    assert db.execute(TAKE, (me, "document_mb", 5)).fetchone() == (False, 6, 10)
    db.execute(RETURN, (me, "document_mb", 100))
    db.execute(RETURN, (me, "lecture_minutes", 1))
    assert db.execute(TAKE, (me, "document_mb", 10)).fetchone() == (True, 10, 10)


def test_a_period_is_a_month_in_utc_and_a_return_names_its_own(db: Connection) -> None:
    me = persona(db)
    call = "select period_start::text, period_end::text from public.svc_take_usage(%s, 'document_mb', 5)"
    db.execute("set local timezone = 'Pacific/Auckland'")
    freeze(db, "2030-12-31T23:59:59Z")
    december = db.execute(call, (me,)).fetchone()
    freeze(db, "2031-01-01T00:00:00Z")
    january = db.execute(call, (me,)).fetchone()
    assert december == ("2030-12-01 13:00:00+13", "2031-01-01 13:00:00+13")
    assert january == ("2031-01-01 13:00:00+13", "2031-02-01 13:00:00+13")
    db.execute("select public.svc_return_usage(%s, 'document_mb', 2, %s)", (me, december[0]))
    assert one(db, USED, (me, "document_mb", december[0])) == 3
    assert one(db, USED, (me, "document_mb", january[0])) == 5


@pytest.mark.parametrize("call", [TAKE, RETURN])
def test_arguments(db: Connection, call: str) -> None:
    me = persona(db)
    for place in range(3):
        refused(db, "22004", call, [None if place == i else v for i, v in enumerate((me, "document_mb", 1))])
    for amount in (0, -1, 1_000_000_001):
        refused(db, "22003", call, (me, "document_mb", amount))
    for meter in ("", "Document_mb", "document mb", "x" * 51):
        refused(db, "22023", call, (me, meter, 1))
    refused(db, "PT404", call, (uuid.uuid4(), "document_mb", 1))


def test_two_calls_at_once_do_not_both_get_the_last_of_it(db_url: str) -> None:
    with ring(db_url) as race:
        me = persona(race.owner)
        race.clean_up("public.profiles", me)
        terms = str(one(race.owner, TERMS))
        # committed, so that two sessions see it; for this person alone
        limit(race.owner, 10, me)
        try:
            race.owner.execute(TAKE, (me, "document_mb", 6))
            first, second = race.session(), race.session()
            assert first.execute(TAKE, (me, "document_mb", 3)).fetchone() == (True, 9, 10)
            waiting = race.start(second, TAKE, (me, "document_mb", 3))
            race.wait_until_blocked(second)
            first.commit()
            assert waiting.result(timeout=60) == (False, 9, 10)
        finally:
            race.owner.execute(terms.encode())
