"""What people say about their own work: efforts, done, hidden, hidden courses, and when they study."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]
SETTINGS = "insert into public.planner_settings (working_hours) values (%s)"


def entry(**changes: Any) -> dict[str, Any]:
    return {"weekday": 1, "start": "09:00", "end": "17:00", **changes}


@pytest.mark.parametrize(
    "hours",
    [
        {"weekday": 1},
        [1],
        [[entry()]],
        [entry(weekday=0)],
        [entry(weekday=8)],
        [entry(weekday=1.5)],
        [entry(weekday="1")],
        [entry(start="9:00")],
        [entry(start="24:00", end="24:00")],
        [entry(end="17:60")],
        [entry(end="09:00")],
        [entry(end=None)],
        [{"weekday": 1, "start": "09:00"}],
        [entry(), entry(weekday=9)],
        [entry()] * 51,
    ],
)
def test_working_hours_that_are_none(db: Connection, hours: Any) -> None:
    with act_as(db, persona(db)):
        refused(db, "23514", SETTINGS, (json.dumps(hours),))


def test_a_person_keeps_their_own_settings(db: Connection) -> None:
    person = persona(db)
    with act_as(db, person):
        db.execute(SETTINGS, (json.dumps([entry(), entry(weekday=7, end="24:00")]),))
        row = db.execute(
            "select user_id, block_minutes, break_minutes, max_minutes_per_day, buffer_hours, auto_replan"
            " from public.planner_settings"
        ).fetchone()
        assert row == (person, 50, 10, 240, 12, False)
        for change in ("block_minutes = 24", "block_minutes = 121", "break_minutes = -1", "buffer_hours = 337"):
            refused(db, "23514", f"update public.planner_settings set {change}")


def listed(db: Connection, person: uuid.UUID) -> set[str]:
    with act_as(db, person):
        return {title for (title,) in db.execute("select title from public.v_open_assignments").fetchall()}


def test_what_is_left_to_do(db: Connection) -> None:
    person, other = persona(db), persona(db)
    rows.assignment(db, other, title="foreign")
    course = rows.course(db, person)
    made = {
        title: rows.assignment(db, person, course_id=course, title=title, **columns)
        for title, columns in {
            "open": {},
            "late": {"due_at": "2020-01-01T00:00:00Z"},
            "unsaid": {"submission": json.dumps({"excused": False})},
            "submitted": {"status": "submitted"},
            "graded": {"status": "graded"},
            "removed": {"status": "removed"},
            "excused": {"submission": json.dumps({"excused": True})},
            "done": {},
            "hidden": {},
            "unplanned": {},
        }.items()
    }
    effort = (
        "insert into public.assignment_efforts (assignment_id, done_at, is_hidden, is_excluded) values (%s, %s, %s, %s)"
    )
    with act_as(db, person):
        db.execute(effort, (made["done"], "2030-01-01T10:00:00Z", False, False))
        db.execute(effort, (made["hidden"], None, True, False))
        db.execute(effort, (made["unplanned"], None, False, True))
    assert listed(db, person) == {"open", "late", "unsaid", "unplanned"}
    for change in ("is_hidden = true", "is_active = false", "access_restricted = true", "workflow_state = 'completed'"):
        with db.transaction(force_rollback=True):
            db.execute(f"update public.courses set {change} where id = %s".encode(), (course,))
            assert listed(db, person) == set(), change
    with act_as(db, person):
        db.execute("update public.assignment_efforts set done_at = null, is_hidden = false")
    assert listed(db, person) == {"open", "late", "unsaid", "done", "hidden", "unplanned"}


def test_an_effort_belongs_to_the_assignments_owner_and_goes_with_it(db: Connection) -> None:
    person, other = persona(db), persona(db)
    mine, foreign = rows.assignment(db, person), rows.assignment(db, other)
    say = "insert into public.assignment_efforts (assignment_id, effort_minutes) values (%s, %s)"
    with act_as(db, person):
        db.execute(say, (mine, 90))
        refused(db, "23503", say, (foreign, 90))
        for minutes in (4, 6001):
            refused(db, "23514", "update public.assignment_efforts set effort_minutes = %s", (minutes,))
        refused(db, "23514", "update public.assignment_efforts set priority = 3")
        refused(db, "23514", "update public.assignment_efforts set done_at = 'infinity'")
        refused(db, "42501", "update public.assignment_efforts set assignment_id = %s", (foreign,))
    db.execute("delete from public.assignments where id = %s", (mine,))
    assert one(db, "select count(*) from public.assignment_efforts where assignment_id = %s", (mine,)) == 0
