"""A teacher withdraws an assignment, and publishes it again: what the teacher's and the student's rows say."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.functions.canvas_sync.conftest import Connected

Connection = psycopg.Connection[Any]


def first_course(connected: Connected) -> int:
    """A course of this person with assignments."""
    return min(int(row["canvas_course_id"]) for row in connected.person.rows("courses"))


def test_the_teachers_row_waits_with_a_mark_and_returns(teacher: Connected) -> None:
    assert teacher.runner.run(teacher.first_job).failure is None
    course = first_course(teacher)
    before = teacher.assignments(course)
    number, other = sorted(before)[:2]
    world = teacher.canvas.world

    world.change_assignment(number, published=False)
    world.change_assignment(other, deleted=True)
    assert teacher.result()["assignments"]["removed"] == 2
    left = teacher.assignments(course)
    assert (left[number]["status"], left[number]["is_unpublished"]) == ("removed", True)
    assert (left[other]["status"], left[other]["is_unpublished"]) == ("removed", False)
    assert left[number]["description_html"] == before[number]["description_html"]

    world.change_assignment(number, published=True)
    assert teacher.result()["assignments"]["restored"] == 1
    back = teacher.assignments(course)[number]
    assert (back["status"], back["is_unpublished"], back["id"]) == ("open", False, before[number]["id"])
    assert back["created_at"] == before[number]["created_at"]

    world.change_assignment(number, published=False)
    assert teacher.result()["assignments"]["removed"] == 1
    world.change_assignment(number, deleted=True)
    assert teacher.result()["assignments"]["removed"] == 0
    gone = teacher.assignments(course)[number]
    assert (gone["status"], gone["is_unpublished"]) == ("removed", False), "it will not return"


def test_the_students_row_keeps_its_history(synced: Connected) -> None:
    course = first_course(synced)
    before = synced.assignments(course)
    number = min(before)
    effort = {"assignment_id": before[number]["id"], "user_id": synced.person.user_id, "effort_minutes": 90}
    assert synced.person.rest.post("/assignment_efforts", json=effort).status_code == 201
    synced.canvas.world.change_assignment(number, published=False)
    assert synced.result()["assignments"]["removed"] == 1
    row = synced.assignments(course)[number]
    assert (row["status"], row["is_unpublished"]) == ("removed", False), "Canvas does not tell learners why"
    synced.canvas.world.change_assignment(number, published=True)
    assert synced.result()["assignments"]["restored"] == 1
    back = synced.assignments(course)[number]
    assert (back["id"], back["status"]) == (before[number]["id"], before[number]["status"])
    assert [row["effort_minutes"] for row in synced.person.rows("assignment_efforts")] == [90]


def test_what_is_only_not_shown_stays(synced: Connected) -> None:
    course = first_course(synced)
    before = synced.assignments(course)
    world = synced.canvas.world
    with world.lock:
        world.courses[course].hidden_assignments_for.add(101)
    assert synced.result()["errors"][0]["code"] == "course_forbidden"
    assert synced.assignments(course) == before
    number = min(before)
    with world.lock:
        world.courses[course].hidden_assignments_for.clear()
        world.assignments[number].visible_to = set()
    world.switches.id_confirmation = False
    world.add_fault(kind="status", status=403, path=f"/assignments/{number}\\b")
    assert synced.result()["assignments"]["removed"] == 0
    assert synced.assignments(course)[number]["status"] == before[number]["status"]
