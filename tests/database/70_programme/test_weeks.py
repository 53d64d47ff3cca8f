"""Weeks by the calendar of their learner, and what is measured of them."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import assignment, course, insert, one

Connection = psycopg.Connection[Any]

ADVANCE = "select activated, completed from public.svc_advance_weeks(%s)"
MONDAY, SUNDAY = "2030-03-25", "2030-03-31"


@pytest.fixture(autouse=True)
def no_other_weeks(db: Connection) -> None:
    """What other tests have stored would be counted, too. Everything here is rolled back."""
    db.execute("delete from public.weeks")


def learner(db: Connection, zone: str = "UTC") -> uuid.UUID:
    person = persona(db)
    db.execute("update public.profiles set timezone = %s where user_id = %s", (zone, person))
    return person


def week(db: Connection, user_id: uuid.UUID, number: int = 1, **columns: Any) -> uuid.UUID:
    given = {"user_id": user_id, "week_number": number, "start_date": MONDAY, "end_date": SUNDAY}
    return insert(db, "public.weeks", given, columns)


def block(db: Connection, user_id: uuid.UUID, start: str, status: str, hours: float = 1) -> None:
    made = insert(db, "public.study_blocks", {"user_id": user_id, "start_at": start, "end_at": "9000-01-01"})
    db.execute("update public.study_blocks set end_at = start_at + %s * interval '1 hour' where id = %s", (hours, made))
    if status != "planned":
        db.execute("update public.study_blocks set status = %s where id = %s", (status, made))


def state(db: Connection, week_id: uuid.UUID) -> str:
    return str(one(db, "select status::text from public.weeks where id = %s", (week_id,)))


def advance(db: Connection, moment: str, limit: int = 200) -> Any:
    freeze(db, moment)
    return db.execute(ADVANCE, (limit,)).fetchone()


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        # the last day is the one on which Europe's clocks are set forward
        ("Europe/Berlin", "2030-03-24T23:00:00Z", "2030-03-31T22:00:00Z"),
        ("Pacific/Kiritimati", "2030-03-24T10:00:00Z", "2030-03-31T10:00:00Z"),
        ("Pacific/Niue", "2030-03-25T11:00:00Z", "2030-04-01T11:00:00Z"),
        ("Asia/Kathmandu", "2030-03-24T18:15:00Z", "2030-03-31T18:15:00Z"),
    ],
)
def test_a_week_begins_and_ends_with_the_days_of_its_learner(db: Connection, zone: str, begins: str, ends: str) -> None:
    mine = week(db, learner(db, zone))
    before = "select (%s::timestamptz - interval '1 second')::text"
    assert advance(db, one(db, before, (begins,))) == (0, 0)
    assert advance(db, begins) == (1, 0)
    assert state(db, mine) == "active"
    assert advance(db, one(db, before, (ends,))) == (0, 0)
    assert advance(db, ends) == (0, 1)
    assert state(db, mine) == "completed"
    assert advance(db, ends) == (0, 0)


def test_a_person_who_moves_begins_by_the_new_zone_and_never_twice(db: Connection) -> None:
    me = learner(db, "America/Los_Angeles")
    mine = week(db, me)
    assert advance(db, "2030-03-24T23:30:00Z") == (0, 0)
    db.execute("update public.profiles set timezone = 'Europe/Berlin' where user_id = %s", (me,))
    assert advance(db, "2030-03-24T23:30:00Z") == (1, 0)
    db.execute("update public.profiles set timezone = 'America/Los_Angeles' where user_id = %s", (me,))
    assert advance(db, "2030-03-24T23:30:00Z") == (0, 0)
    assert state(db, mine) == "active"


def test_what_was_missed_is_made_up_for_in_batches_and_reopening_gives_a_day(db: Connection) -> None:
    me = learner(db)
    missed = [week(db, me, number) for number in (1, 2, 3)]
    now = "2030-04-10T00:00:00Z"
    assert [advance(db, now, 2), advance(db, now, 2), advance(db, now, 2)] == [(2, 2), (1, 1), (0, 0)]
    with act_as(db, me):
        db.execute("update public.weeks set status = 'active' where id = %s", (missed[0],))
        refused(db, "42501", "update public.weeks set reopened_at = null")
    assert advance(db, "2030-04-10T23:59:59Z") == (0, 0)
    assert advance(db, "2030-04-11T00:00:00Z") == (0, 1)
    for wrong in (0, 1001, None):
        refused(db, "22003", ADVANCE, (wrong,))


def test_learners_are_told_once_of_a_week_that_begins(db: Connection) -> None:
    me = learner(db, "Europe/Berlin")
    mine = week(db, me, 2, focus_area="Loops")
    week(db, me, 1, start_date="2030-03-18", end_date="2030-03-24")
    early = week(db, me, 3)
    with act_as(db, me):
        db.execute("update public.weeks set status = 'active' where id = %s", (early,))
    # the first moment of the week in Berlin: the week before is over, and the third was begun by its learner
    assert advance(db, "2030-03-24T23:00:00Z") == (2, 1)
    rows = "select type::text, status::text, body, payload, event_key from public.notifications where user_id = %s"
    told = db.execute(rows.encode(), (me,)).fetchall()
    dates = {"start_date": MONDAY, "end_date": SUNDAY}
    key = f"week_started:{mine}"
    assert told == [("week_started", "sent", "Week 2\nLoops", {"week_id": str(mine), **dates}, key)]
    # set back by staff, it begins again and is not told again
    db.execute("alter table public.weeks disable trigger trg_weeks_status")
    db.execute("update public.weeks set status = 'planned' where id = %s", (mine,))
    assert advance(db, "2030-03-24T23:15:00Z") == (1, 0)
    assert db.execute(rows.encode(), (me,)).fetchall() == told


def test_completion_is_the_mean_over_what_the_week_has(db: Connection) -> None:
    me = learner(db, "Europe/Berlin")
    mine = week(db, me, status="active")
    freeze(db, "2030-03-27T12:00:00Z")
    measure = "select measured from public.svc_refresh_weeks()"
    share = "select completion_percentage, actual_hours from public.weeks where id = %s"

    def measured() -> Any:
        assert one(db, measure) == 1
        return db.execute(share, (mine,)).fetchone()

    assert measured() == (0, 0)
    # the first and last moments of the week in Berlin, and those just outside
    for start, status in (
        ("2030-03-24T22:59:59Z", "completed"), ("2030-03-24T23:00:00Z", "completed"),
        ("2030-03-31T21:59:59Z", "planned"), ("2030-03-31T22:00:00Z", "completed"),
        ("2030-03-26T10:00:00Z", "missed"), ("2030-03-26T12:00:00Z", "cancelled"),
    ):  # fmt: skip
        block(db, me, start, status, 2.6)
    assert measured() == (33, 3)
    notes = [insert(db, "public.clo_notes", {"week_id": mine, "module_title": "x"}) for _ in range(2)]
    engineer = insert(db, "public.engineer_notes", {"week_id": mine})
    with act_as(db, me):
        db.execute("select public.mark_note_read('clo', %s)", (notes[0],))
        db.execute("select public.mark_note_read('engineer', %s)", (engineer,))
        assert db.execute(share, (mine,)).fetchone() == (50, 3)
    talk = insert(db, "public.socratic_sessions", {"user_id": me, "week_id": mine, "topic": "x"})
    assert measured()[0] == 33
    db.execute("update public.socratic_sessions set ended_at = started_at where id = %s", (talk,))
    insert(db, "public.reviews", {"user_id": me, "week_id": mine, "github_url": "https://github.com/a/b"})
    assert measured()[0] == 50  # (33.3 + 66.7 + 100 + 0) / 4
    with act_as(db, me):
        db.execute("update public.weeks set actual_hours = 9")
        refused(db, "42501", "update public.weeks set completion_percentage = 100")
    assert measured() == (50, 9)
    with act_as(db, me):
        db.execute("update public.weeks set actual_hours = null")
    assert measured() == (50, 3)


def test_a_note_is_read_once_by_its_learner(db: Connection) -> None:
    me = learner(db)
    note = insert(db, "public.clo_notes", {"week_id": week(db, me), "module_title": "x"})
    mark = "select public.mark_note_read(%s, %s) at time zone 'UTC'"
    with act_as(db, persona(db)):
        refused(db, "PT404", mark, ("clo", note))
    with act_as(db, me):
        for at in ("2030-03-26T00:00:00Z", "2030-03-27T00:00:00Z"):
            freeze(db, at)
            assert one(db, mark, ("clo", note)).isoformat() == "2030-03-26T00:00:00"
        refused(db, "PT404", mark, ("engineer", note))
        refused(db, "22023", mark, ("brand", note))
        refused(db, "22004", mark, ("clo", None))


def kpis(db: Connection, week_id: uuid.UUID, moment: str) -> dict[str, tuple[Any, ...]]:
    freeze(db, moment)
    query = """select metric_name, current_value::float8, target_value::float8, previous_value::float8, trend::text
               from public.svc_measure_kpis(%s)"""
    return {name: tuple(rest) for name, *rest in db.execute(query.encode(), (week_id,)).fetchall()}


def practised(db: Connection, student: uuid.UUID, completed_at: str, score: float) -> None:
    given = {"student_id": student, "source": "ai_generated", "ai_question_text": "1 + 1?"}
    insert(
        db, "public.practice_assignments", given,
        {"completed": True, "completed_at": completed_at, "performance_score": score},
    )  # fmt: skip


def test_kpis_are_measured_with_target_and_direction(db: Connection) -> None:
    me = learner(db, "Asia/Tokyo")
    before = week(db, me, 1, start_date="2030-03-18", end_date="2030-03-24", status="active")
    mine = week(db, me, 7, status="active", estimated_hours=4)
    assert set(kpis(db, before, "2030-03-20T00:00:00Z")) == {"hours_worked", "completion", "questions_asked"}
    # Monday 00:30 in Tokyo; Sunday 23:30 of the week before
    for start, status in (("2030-03-24T15:30:00Z", "completed"), ("2030-03-24T14:30:00Z", "completed"),
                          ("2030-03-25T01:00:00Z", "planned"), ("2030-03-30T01:00:00Z", "planned"),
                          ("2030-03-25T03:00:00Z", "cancelled")):  # fmt: skip
        block(db, me, start, status, 1.5)
    practised(db, me, "2030-03-25T00:00:00Z", 1)
    practised(db, me, "2030-03-26T00:00:00Z", 0.25)
    practised(db, me, "2030-03-20T00:00:00Z", 0)
    practised(db, persona(db), "2030-03-26T00:00:00Z", 0)
    talk = insert(db, "public.socratic_sessions", {"user_id": me, "week_id": mine, "topic": "x"})
    for role, text in (("assistant", "Why?"), ("assistant", "なぜ\uff1f"), ("assistant", "Good."), ("user", "What?")):
        insert(db, "public.socratic_messages", {"session_id": talk, "role": role, "content": text})
    for score, done in ((10, "2030-03-25"), (80, "2030-03-26")):
        freeze(db, done)
        review = insert(db, "public.reviews", {"user_id": me, "week_id": mine, "github_url": "https://github.com/a/b"})
        db.execute("update public.reviews set status = 'running' where id = %s", (review,))
        db.execute(
            "update public.reviews set status = 'completed', result_json = jsonb_build_object('score', %s::int) "
            "where id = %s",
            (score, review),
        )
    assert kpis(db, mine, "2030-03-27T00:00:00Z") == {
        "hours_worked": (1.5, 4, 0, "up"),
        "completion": (44, None, 0, "up"),  # blocks 1 of 3, dialogue open, reviews done
        "questions_asked": (2, None, 0, "up"),
        "practice_accuracy": (62.5, None, None, None),
        "code_quality": (80, None, None, None),
        "study_blocks_kept": (50, None, None, None),
    }
    practised(db, me, "2030-03-27T00:00:00Z", 0)
    later = kpis(db, mine, "2030-03-28T00:00:00Z")
    assert later["practice_accuracy"] == (41.7, None, 62.5, "down")
    assert later["hours_worked"] == (1.5, 4, 1.5, "stable")
    # measured again at the same moment: the same rows
    count = "select count(*) from public.kpi_metrics where week_id = %s"
    known = one(db, count, (mine,))
    assert kpis(db, mine, "2030-03-28T00:00:00Z") == later
    assert one(db, count, (mine,)) == known == 12


def test_kpis_refuse_weeks_of_others_and_archived_ones(db: Connection) -> None:
    me = learner(db)
    mine = week(db, me)
    measure = "select * from public.svc_measure_kpis(%s, %s)"
    refused(db, "PT404", measure, (mine, persona(db)))
    refused(db, "PT404", measure, (uuid.uuid4(), None))
    refused(db, "22004", measure, (None, None))
    db.execute("update public.weeks set status = 'archived' where id = %s", (mine,))
    refused(db, "PT409", measure, (mine, me))


def test_the_night_measures_living_weeks_in_batches_and_once(db: Connection) -> None:
    freeze(db, "2030-04-02T03:20:00Z")
    me = learner(db)
    living = [week(db, me, 1, status="active"), week(db, me, 2, status="active")]
    db.execute("update public.weeks set status = 'completed' where id = %s", (living[1],))
    week(db, me, 3)
    old = week(db, me, 4, start_date="2030-03-01", end_date="2030-03-24", status="active")
    db.execute("update public.weeks set status = 'completed' where id = %s", (old,))
    refresh = "select measured, last_id from public.svc_refresh_weeks(%s, 1, '2030-04-02T03:20:00Z')"
    for _ in range(2):
        first = db.execute(refresh, (None,)).fetchone()
        second = db.execute(refresh, (first[1],)).fetchone() if first else None
        assert first
        assert second
        assert [first, second] == [(1, one_id) for one_id in sorted(living)]
        assert db.execute(refresh, (second[1],)).fetchone() == (0, None)
        assert one(db, "select count(*) from public.kpi_metrics where user_id = %s", (me,)) == 6


def test_what_ended_two_years_ago_is_archived_and_stays_readable(db: Connection) -> None:
    me = learner(db)
    mine = week(db, me, status="active")
    talk = insert(
        db, "public.socratic_sessions",
        {"user_id": me, "week_id": mine, "topic": "x", "started_at": "2030-03-30", "ended_at": "2030-03-31"},
    )  # fmt: skip
    db.execute("update public.weeks set status = 'completed' where id = %s", (mine,))
    archive = "select weeks, sessions from public.svc_archive_weeks()"
    freeze(db, "2032-03-30T00:00:00Z")
    assert db.execute(archive).fetchone() == (0, 0)
    freeze(db, "2032-03-31T00:00:00Z")
    assert db.execute(archive.replace("()", "(731)")).fetchone() == (0, 0)
    freeze(db, "2032-04-01T00:00:00Z")
    assert db.execute(archive).fetchone() == (1, 1)
    assert db.execute(archive).fetchone() == (0, 0)
    with act_as(db, me):
        assert one(db, "select status::text from public.weeks where id = %s", (mine,)) == "archived"
        assert one(db, "select archived_at is not null from public.socratic_sessions where id = %s", (talk,))
    refused(db, "22003", "select * from public.svc_archive_weeks(0)")


def test_the_course_of_a_week_is_the_learner_s_own_and_its_work_is_that_of_their_days(db: Connection) -> None:
    me, other = learner(db, "Pacific/Kiritimati"), learner(db)
    mine, theirs = course(db, me, name="Biology"), course(db, other)
    link = "update public.weeks set course_id = %s where id = %s"
    made = week(db, me)
    with act_as(db, me):
        refused(db, "23503", link, (theirs, made))
        assert db.execute(link, (mine, made)).rowcount == 1
        refused(db, "42501", "select public.svc_get_week_material(%s, %s)", (made, me))
    # the week of Kiritimati is fourteen hours ahead of that of UTC
    due = {
        "before": "2030-03-24T09:59:59Z", "first": "2030-03-24T10:00:00Z", "last": "2030-03-31T09:59:59Z",
        "after": "2030-03-31T10:00:00Z", "removed": "2030-03-26", "hidden": "2030-03-26", "undated": None,
    }  # fmt: skip
    work = {title: assignment(db, me, course_id=mine, title=title, due_at=at) for title, at in due.items()}
    db.execute("update public.assignments set status = 'removed' where id = %s", (work["removed"],))
    hide = "insert into public.assignment_efforts (assignment_id, user_id, is_hidden) values (%s, %s, true)"
    db.execute(hide, (work["hidden"], me))
    assignment(db, me, title="of another course", due_at="2030-03-26")

    def material(person: uuid.UUID = me) -> Any:
        return one(db, "select public.svc_get_week_material(%s, %s)", (made, person))

    found = material()
    assert found["course"] == {"id": str(mine), "name": "Biology", "catalog_course_id": None}
    assert [entry["title"] for entry in found["assignments"]] == ["first", "last"]
    assert found["assignments"][0]["due_text"] == "Monday 25 March 2030, 00:00 (Pacific/Kiritimati)"
    assert material(other) is None
    for closed in ("is_hidden = true", "access_restricted = true", "workflow_state = 'deleted'"):
        with db.transaction(force_rollback=True):
            db.execute(f"update public.courses set {closed} where id = %s".encode(), (mine,))
            assert material() is None, closed
    refused(db, "22004", "select public.svc_get_week_material(%s, null)", (made,))
    # a course that goes leaves the week, even an archived one
    db.execute("update public.weeks set status = 'archived' where id = %s", (made,))
    db.execute("delete from public.courses where id = %s", (mine,))
    assert one(db, "select course_id is null from public.weeks where id = %s", (made,)) is True
    assert material() is None
