"""Whose Canvas an account is connected to: one person after another, never two, and what Canvas says of them."""

from __future__ import annotations

from typing import Any

import psycopg

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Runner, Student, come_back, connect, start

Connection = psycopg.Connection[Any]


def test_a_second_canvas_person_comes_only_after_the_first_left(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    first = connect(stack, person, connection_id, "student1")
    assert runner.run(first["job_id"]).failure is None
    before = {row["canvas_course_id"]: row for row in person.rows("courses")}
    handed_in = person.rows("assignments", status="in.(submitted,graded)")
    assert handed_in, "the first has submissions"

    fragment = come_back(stack, start(person, connection_id), "student2")
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (409, "other_canvas_person")
    assert canvas.world.grants[-1].revoked, "the grant nobody keeps is given back"
    assert person.rows("integrations")[0]["external_user_id"] == "101"
    assert len(person.rows("assignments", status="in.(submitted,graded)")) == len(handed_in)

    integration_id = first["integration"]["id"]
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    second = connect(stack, person, connection_id, "student2")
    assert (second["integration"]["id"], second["integration"]["external_user_id"]) == (integration_id, "102")
    assert person.rows("assignments", submission="not.is.null") == []
    assert person.rows("assignments", status="in.(submitted,graded)") == []
    assert {row["former_external_user_id"] for row in person.rows("courses")} == {"101"}
    assert person.rows("v_open_assignments") == [], "nothing of the first is planned for"

    assert runner.run(second["job_id"]).failure is None
    after = {row["canvas_course_id"]: row for row in person.rows("courses")}
    theirs = {number for number, course in canvas.world.courses.items() if 102 in course.roles}
    assert theirs & before.keys(), "some courses are of both"
    assert before.keys() - theirs, "and some are not"
    for number, row in after.items():
        is_own = number in theirs
        assert row["former_external_user_id"] == (None if is_own else "101"), number
        assert row["is_active"] is is_own
        assert row["workflow_state"] == "available", "no longer visible is not deleted"
    assert {before[number]["id"] for number in before} <= {row["id"] for row in after.values()}
    handed_in = person.rows("assignments", status="in.(submitted,graded)")
    assert handed_in
    assert all((row["canvas_assignment_id"], 102) in canvas.world.submissions for row in handed_in)


def test_canvas_fills_the_time_zone_that_nobody_set(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, runner: Runner
) -> None:
    canvas.world.people[101].time_zone = "America/Denver"
    canvas.world.switches.enforce_scopes = True  # as many schools: the profile is not among our scopes
    done = connect(stack, person, connection_id, "student1")
    assert person.rows("profiles")[0]["timezone_source"] == "default"
    assert runner.run(done["job_id"]).failure is None
    profile = person.rows("profiles")[0]
    assert (profile["timezone"], profile["timezone_source"]) == ("America/New_York", "canvas"), "the courses' zone"
    canvas.world.switches.enforce_scopes = False
    connect(stack, person, connection_id, "student1")
    assert person.rows("profiles")[0]["timezone"] == "America/Denver", "the person's own comes first"
    own = {"timezone": "Asia/Tokyo"}
    assert person.rest.patch("/profiles", params={"user_id": f"eq.{person.user_id}"}, json=own).status_code < 300
    connect(stack, person, connection_id, "student1")
    profile = person.rows("profiles")[0]
    assert (profile["timezone"], profile["timezone_source"]) == ("Asia/Tokyo", "person")


def test_a_teacher_who_connects_gets_the_row_of_a_teacher(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, stranger: Student, db: Connection
) -> None:
    db.execute("update public.profiles set role = 'teacher' where user_id = %s", (person.user_id,))
    db.commit()
    for _ in range(2):
        connect(stack, person, connection_id, "teacher1")
    connect(stack, stranger, connection_id, "student1")
    found = db.execute(
        "select id::text, lms_connection_id::text, canvas_user_id, name from public.teachers where id = any(%s)",
        ([person.user_id, stranger.user_id],),
    ).fetchall()
    assert found == [(person.user_id, connection_id, "201", "Teacher 1")]
