"""Weeks and the rows that belong to them."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.machines import outcomes
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]


def week(db: Connection, user_id: uuid.UUID, number: int = 1, **columns: Any) -> uuid.UUID:
    given = {"user_id": user_id, "week_number": number, "start_date": "2030-01-07", "end_date": "2030-01-13"}
    return insert(db, "public.weeks", given, columns)


def review(db: Connection, user_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    return insert(db, "public.reviews", {"user_id": user_id, "github_url": "https://github.com/a/b"}, columns)


def test_states_of_weeks(db: Connection) -> None:
    me = persona(db)
    numbers = iter(range(1, 100))
    births, changes = outcomes(
        db,
        "weeks",
        ["planned", "active", "completed", "archived"],
        lambda state: week(db, me, next(numbers), status=state),
    )
    assert births == {"planned", "active"}
    assert changes == {
        "planned>active", "planned>archived", "active>completed", "active>archived", "completed>active",
        "completed>archived",
    }  # fmt: skip


def test_states_of_reviews_and_their_times(db: Connection) -> None:
    me = persona(db)
    births, changes = outcomes(
        db, "reviews", ["pending", "running", "completed", "failed"], lambda state: review(db, me, status=state)
    )
    assert births == {"pending"}
    assert changes == {"pending>running", "running>completed", "running>failed", "failed>pending"}
    made = review(db, me)
    times = """select (started_at at time zone 'UTC', completed_at at time zone 'UTC', error_message)::text
               from public.reviews where id = %s"""
    freeze(db, "2030-01-01T00:00:00Z")
    db.execute("update public.reviews set status = 'running' where id = %s", (made,))
    assert one(db, times, (made,)) == '("2030-01-01 00:00:00",,)'
    freeze(db, "2030-01-02T00:00:00Z")
    db.execute("update public.reviews set status = 'failed', error_message = 'gone' where id = %s", (made,))
    assert one(db, times, (made,)) == '("2030-01-01 00:00:00","2030-01-02 00:00:00",gone)'
    db.execute("update public.reviews set status = 'pending' where id = %s", (made,))
    assert one(db, times, (made,)) == "(,,)"


@pytest.mark.parametrize(
    "address",
    ["http://github.com/a/b", "https://github.com/a", "https://github.com.evil.test/a/b", "https://gitlab.com/a/b",
     "https://github.com/a/b\nx", "https://x@github.com/a/b", " https://github.com/a/b"],
)  # fmt: skip
def test_reviews_are_of_github_repositories(db: Connection, address: str) -> None:
    with act_as(db, persona(db)):
        refused(db, "23514", "insert into public.reviews (github_url) values (%s)", (address,))


def test_addresses_of_github_as_browsers_have_them(db: Connection) -> None:
    with act_as(db, persona(db)):
        for address in ("https://GitHub.com/A/b.git", "https://www.github.com/a/b/", "https://github.com/a/b?tab=x#y"):
            db.execute("insert into public.reviews (github_url) values (%s)", (address,))


def test_a_learner_asks_for_a_review_and_decides_nothing_else(db: Connection) -> None:
    me, other = persona(db), persona(db)
    foreign = week(db, other)
    with act_as(db, me):
        ask = "insert into public.reviews (github_url, depth, week_id) values ('https://github.com/a/b', 'deep', %s)"
        db.execute(ask, (None,))
        refused(db, "23503", ask, (foreign,))
        refused(db, "42501", "insert into public.reviews (github_url, status) values ('x', 'completed')")
        refused(db, "42501", "update public.reviews set status = 'running'")
        assert db.execute("delete from public.reviews").rowcount == 1


@pytest.mark.parametrize(
    ("given", "delta", "trend"),
    [
        ({"current_value": 5, "previous_value": 3}, 2, "up"),
        ({"current_value": 3, "previous_value": 5, "delta": 9, "trend": "up"}, -2, "down"),
        ({"current_value": 3, "previous_value": 3}, 0, "stable"),
        ({"current_value": 3, "delta": -1}, -1, "down"),
        ({"current_value": 3, "delta": 0, "trend": "up"}, 0, "stable"),
        ({"current_value": 3, "trend": "up"}, None, "up"),
        ({"current_value": 3}, None, None),
    ],
)
def test_change_and_direction_are_derived(db: Connection, given: dict[str, Any], delta: Any, trend: Any) -> None:
    me = persona(db)
    made = insert(db, "public.kpi_metrics", {"user_id": me, "week_id": week(db, me), "metric_name": "posts"}, given)
    row = "select delta, trend from public.kpi_metrics where id = %s"
    assert db.execute(row, (made,)).fetchone() == (delta, trend)
    db.execute("update public.kpi_metrics set previous_value = 1, current_value = 2 where id = %s", (made,))
    assert db.execute(row, (made,)).fetchone() == (1, "up")


def test_a_dialogue_is_closed_once(db: Connection) -> None:
    me = persona(db)
    mine = week(db, me)
    say = "insert into public.socratic_messages (session_id, role, content) values (%s, %s, 'Why?')"
    with act_as(db, me):
        made = one(
            db, "insert into public.socratic_sessions (week_id, topic) values (%s, 'Loops') returning id", (mine,)
        )
        db.execute(say, (made, "user"))
        refused(db, "42501", say, (made, "assistant"))
        refused(db, "42501", "update public.socratic_sessions set total_questions = 3 where id = %s", (made,))
        close = "update public.socratic_sessions set ended_at = now() + interval '1 hour' where id = %s"
        db.execute(close, (made,))
        refused(db, "42501", say, (made, "user"))
        refused(db, "23514", "update public.socratic_sessions set ended_at = null where id = %s", (made,))
        refused(db, "23514", close.replace("1 hour", "2 hours"), (made,))
        db.execute("update public.socratic_sessions set topic = 'Recursion' where id = %s", (made,))
    refused(db, "23514", "update public.socratic_sessions set ended_at = null where id = %s", (made,))
    with act_as(db, persona(db)):
        refused(db, "42501", say, (made, "user"))
        assert one(db, "select count(*) from public.socratic_messages") == 0
        refused(db, "23503", "insert into public.socratic_sessions (week_id, topic) values (%s, 'x')", (mine,))


def test_a_transcript_shows_that_it_is_there(db: Connection) -> None:
    me = persona(db)
    talk = insert(db, "public.socratic_sessions", {"user_id": me, "week_id": week(db, me), "topic": "x"})
    line = {"session_id": talk, "role": "user", "content": "x"}
    for transcript in ("spoken", None):
        made = insert(db, "public.socratic_messages", line, {"transcript": transcript})
        shown = one(db, "select has_transcript from public.socratic_messages where id = %s", (made,))
        assert shown is (transcript is not None)


def test_notes_are_read_by_the_owner_of_the_week_and_go_with_it(db: Connection) -> None:
    me = persona(db)
    mine = week(db, me)
    for table, more in (("clo_notes", {"module_title": "x"}), ("engineer_notes", {}), ("brand_packages", {})):
        insert(db, f"public.{table}", {"week_id": mine}, more)
    asked = review(db, me, week_id=mine)

    def seen(person: uuid.UUID) -> list[int]:
        with act_as(db, person):
            return [
                one(db, f"select count(*) from public.{table}")
                for table in ("clo_notes", "engineer_notes", "brand_packages")
            ]

    assert (seen(me), seen(persona(db))) == ([1, 1, 1], [0, 0, 0])
    with act_as(db, me):
        refused(db, "42501", "update public.clo_notes set module_title = 'y'")
        db.execute("delete from public.weeks where id = %s", (mine,))
    assert seen(me) == [0, 0, 0]
    assert one(db, "select week_id is null from public.reviews where id = %s", (asked,))


@pytest.mark.parametrize(
    "bad",
    [{"week_number": 0}, {"end_date": "2030-01-01"}, {"estimated_hours": -1}, {"completion_percentage": 101}],
)
def test_weeks_make_sense(db: Connection, bad: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        insert(
            db,
            "public.weeks",
            {"user_id": persona(db), "week_number": 1, "start_date": "2030-01-07", "end_date": "2030-01-13"},
            bad,
        )


def test_a_learner_keeps_his_own_weeks_only(db: Connection) -> None:
    me, other = persona(db), persona(db)
    foreign = week(db, other)
    add = "insert into public.weeks (user_id, week_number, start_date, end_date) values (%s, 1, '2030-1-1', '2030-1-7')"
    with act_as(db, me):
        db.execute(add, (me,))
        refused(db, "23505", add, (me,))
        refused(db, "42501", add, (other,))
        assert db.execute("update public.weeks set focus_area = 'x' where id = %s", (foreign,)).rowcount == 0
        refused(db, "42501", "update public.weeks set user_id = %s", (other,))
