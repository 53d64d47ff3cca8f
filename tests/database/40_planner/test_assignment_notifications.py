"""What people are told of their assignments: what is new, and what is due, each once."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]
NOON = datetime(2031, 5, 9, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
INBOX = (
    "select type::text, title, body, payload from public.notifications"
    " where user_id = %s and type in ('assignment_new', 'assignment_due') order by created_at, body"
)


@pytest.fixture
def student(db: Connection) -> uuid.UUID:
    """A student of New York, at noon."""
    freeze(db, NOON.isoformat())
    # what other tests have left is not counted
    db.execute("update public.assignments set due_at = null where due_at is not null")
    person = persona(db)
    db.execute(
        "update public.profiles set timezone = 'America/New_York', timezone_source = 'person' where user_id = %s",
        (person,),
    )
    return person


def sync(db: Connection, course: uuid.UUID, *assignments: dict[str, Any], moment: datetime = NOON) -> None:
    """A complete listing of these, in a transaction of its own moment."""
    freeze(db, moment.isoformat())
    given = [
        {
            "canvas_assignment_id": number,
            "title": f"Task {number}",
            "status": "open",
            "content_hash": str(number),
            **row,
        }
        for number, row in enumerate(assignments, 1)
    ]
    db.execute(
        "select public.svc_apply_assignments(%s, %s, %s)",
        (course, json.dumps(given), json.dumps({"complete_at": None})),
    )
    db.execute(
        "select public.svc_finish_assignments(%s, '{}', %s)", (course, json.dumps({"complete_at": moment.isoformat()}))
    )


def look(db: Connection, moment: datetime, limit: int = 500) -> int:
    """One call of the schedule's function at this moment."""
    freeze(db, moment.isoformat())
    with act_as(db, None, "service_role"):
        return int(one(db, "select public.svc_notify_due_assignments(%s)", (limit,)))


def inbox(db: Connection, person: uuid.UUID) -> list[Any]:
    return db.execute(INBOX, (person,)).fetchall()


def test_a_new_assignment_is_told_once_on_the_students_day(db: Connection, student: uuid.UUID) -> None:
    course = rows.course(db, student, name="Biology", time_zone="Europe/Berlin")
    due = {"due_at": (NOON + 7 * DAY).isoformat()}
    sync(db, course, due)
    assert inbox(db, student) == [], "the first listing is no news"
    for later in (HOUR, 2 * HOUR):
        sync(db, course, due, {"due_at": "2031-05-17T03:59:00Z"}, {}, moment=NOON + later)
    new = db.execute("select id from public.assignments where course_id = %s and canvas_assignment_id = 2", (course,))
    assignment = new.fetchone()
    assert assignment is not None
    dated, undated = inbox(db, student)
    assert dated == (
        "assignment_new",
        "New assignment",
        "Task 2\nBiology\nDue Friday 16 May 2031, 23:59 (America/New_York)",
        {
            "assignment_id": str(assignment[0]),
            "course_id": str(course),
            "due_at": "2031-05-17T03:59:00Z",
            "due_text": "Friday 16 May 2031, 23:59 (America/New_York)",
        },
    )
    assert undated[2] == "Task 3\nBiology"
    # gone and back: it was told
    db.execute("update public.assignments set status = 'removed' where course_id = %s", (course,))
    sync(db, course, due, due, {}, moment=NOON + 3 * HOUR)
    assert len(inbox(db, student)) == 2


def test_what_is_no_news(db: Connection, student: uuid.UUID) -> None:
    teacher = persona(db, "teacher")
    hidden, plain, taught = (
        rows.course(db, student, is_hidden=True),
        rows.course(db, student),
        rows.course(db, teacher),
    )
    for course in (hidden, plain, taught):
        sync(db, course, {})
        sync(
            db,
            course,
            {},
            {"due_at": (NOON - DAY).isoformat()},
            {"status": "submitted"},
            *([] if course == plain else [{}]),
            moment=NOON + HOUR,
        )
    assert inbox(db, student) == []
    assert inbox(db, teacher) == []


def test_what_is_due_is_told_once_a_day(db: Connection, student: uuid.UUID) -> None:
    course = rows.course(db, student, name="Biology")
    due_at = NOON + 30 * HOUR
    assignment = rows.assignment(db, student, course_id=course, title="Essay", due_at=due_at)
    assert look(db, due_at - 24 * HOUR - timedelta(seconds=1)) == 0
    assert [look(db, due_at - 24 * HOUR), look(db, due_at - 23 * HOUR)] == [1, 0]
    ((kind, title, body, payload),) = inbox(db, student)
    assert (kind, title) == ("assignment_due", "Due soon")
    assert body == "Essay\nBiology\nDue Saturday 10 May 2031, 14:00 (America/New_York)"
    assert payload["assignment_id"] == str(assignment)
    # within the day it is the same date, another day is another one
    db.execute("update public.assignments set due_at = due_at + interval '1 hour' where id = %s", (assignment,))
    assert look(db, due_at - 22 * HOUR) == 0
    db.execute("update public.assignments set due_at = due_at + interval '1 day' where id = %s", (assignment,))
    assert look(db, due_at - 22 * HOUR) == 0
    assert look(db, due_at + 2 * HOUR) == 1
    assert "Sunday 11 May 2031, 15:00" in inbox(db, student)[1][2]


def test_what_is_due_and_no_longer_ones_own_business(db: Connection, student: uuid.UUID) -> None:
    due = {"due_at": NOON + HOUR}
    done, hidden = (rows.assignment(db, student, **due) for _ in range(2))
    db.execute(
        "insert into public.assignment_efforts (assignment_id, user_id, done_at) values (%s, %s, now())",
        (done, student),
    )
    db.execute(
        "insert into public.assignment_efforts (assignment_id, user_id, is_hidden) values (%s, %s, true)",
        (hidden, student),
    )
    rows.assignment(db, student, status="submitted", **due)
    rows.assignment(db, student, status="removed", **due)
    rows.assignment(db, student, course_id=rows.course(db, student, is_hidden=True), **due)
    rows.assignment(db, student, due_at=NOON - timedelta(seconds=1))
    rows.assignment(db, persona(db, "teacher"), **due)
    assert look(db, NOON) == 0
    db.execute("update public.assignment_efforts set done_at = null where assignment_id = %s", (done,))
    assert look(db, NOON) == 1


def test_the_batch_and_its_bounds(db: Connection, student: uuid.UUID) -> None:
    for _ in range(3):
        rows.assignment(db, student, due_at=NOON + HOUR)
    assert [look(db, NOON, 2) for _ in range(3)] == [2, 1, 0]
    refused(db, "22003", "select public.svc_notify_due_assignments(0)")
