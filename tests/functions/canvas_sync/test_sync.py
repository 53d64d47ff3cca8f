"""A run against a Canvas that changes, and the rows afterwards."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.functions.canvas_sync.conftest import Connected
from tests.support.canvas import Student, connect

Connection = psycopg.Connection[Any]
ZERO = {"inserted": 0, "updated": 0, "removed": 0, "restored": 0}


def counts(result: dict[str, Any]) -> dict[str, int]:
    """What changed among the assignments."""
    return {name: result["assignments"][name] for name in ZERO}


def versions(db: Connection, person: Student) -> list[tuple[Any, ...]]:
    """Every row's physical version: equal means that nothing was written."""
    db.rollback()
    return db.execute(
        "select 'c', id, xmin::text, updated_at from public.courses where user_id = %(u)s"
        " union all select 'a', id, xmin::text, updated_at from public.assignments where user_id = %(u)s order by 1, 2",
        {"u": person.user_id},
    ).fetchall()


def test_the_first_sync_brings_everything(ann: Connected) -> None:
    world = ann.canvas.world
    ended = ann.runner.run(ann.first_job)
    courses = world.courses_of(101)
    listed = sum(len(world.assignments_of(course.id, 101)) for course in courses)
    assert ended.result == {
        "status": "complete",
        "courses": {"seen": len(courses), "inserted": len(courses), "updated": 0, "unchanged": 0, "restricted": 0},
        "assignments": {
            "seen": listed,
            "inserted": listed,
            **dict.fromkeys(("updated", "unchanged", "removed", "restored"), 0),
        },
        "requests": 1 + len(courses),
        "throttled": 0,
        "errors": [],
    }
    assert ended.progress[-1] == {"courses_done": len(courses), "courses_total": len(courses)}
    looked = ann.person.functions.get(f"/canvas-sync/runs/{ann.first_job}").json()
    assert looked["status"] == "succeeded"
    assert looked["result"] == {**ended.result, "skipped": 0}
    assert {row["canvas_course_id"] for row in ann.person.rows("courses")} == {course.id for course in courses}


def test_rows_hold_what_canvas_said(synced: Connected) -> None:
    world = synced.canvas.world
    course = synced.course(1001)
    assert (course["name"], course["course_code"], course["term"]) == (
        "Computation and Formal Systems",
        "CSC 173",
        "Fall 2026",
    )
    assert (course["workflow_state"], course["time_zone"], course["is_active"]) == (
        "available",
        "America/New_York",
        True,
    )
    rows = synced.assignments(1001)
    for there in world.assignments_of(1001, 101):
        row = rows[there.id]
        assert row["title"] == there.name
        assert row["submission_types"] == there.submission_types
        assert row["points_possible"] == there.points_possible
        assert (row["due_at"] or "")[:19] == (there.due_at or "")[:19]
        assert "verifier" not in row["description_html"]
        assert "<iframe" not in row["description_html"]
        submission = world.submissions.get((there.id, 101))
        assert row["status"] == (submission["workflow_state"] if submission else "open")
        assert row["canvas_url"] == f"{synced.canvas.url}/courses/1001/assignments/{there.id}"
    state = synced.person.rows("course_sync_state", course_id=f"eq.{course['id']}")[0]
    assert state["cursor"]["seen"] == len(rows)
    assert state["cursor"]["complete_at"]
    assert state["last_polled_at"]


def test_a_run_without_news_writes_nothing(synced: Connected, db: Connection) -> None:
    before = versions(db, synced.person)
    polled = synced.person.rows("course_sync_state")
    result = synced.result()
    assert counts(result) == ZERO
    assert result["courses"]["unchanged"] == result["courses"]["seen"] == len(polled)
    assert len(polled) <= 10
    assert result["requests"] == 1 + len(polled) + 1, "the courses, their assignments, and all announcements"
    assert versions(db, synced.person) == before
    later = synced.person.rows("course_sync_state")
    assert min(row["last_polled_at"] for row in later) > max(row["last_polled_at"] for row in polled)


def test_changes_arrive_and_only_they(synced: Connected, db: Connection) -> None:
    world = synced.canvas.world
    rows = world.assignments_of(1001, 101)
    before = {row[1]: row for row in versions(db, synced.person)}
    world.change_assignment(rows[0].id, name="A new title")
    world.change_assignment(rows[1].id, due_at="2027-01-01T04:59:59Z")
    world.submit(rows[4].id, 101, workflow_state="submitted")
    new = world.add_assignment(1001, description="hostile")
    world.change_assignment(new.id, description="<p>Task</p><script>alert(1)</script>")
    result = synced.result()
    assert counts(result) == {**ZERO, "inserted": 1, "updated": 3}
    now = synced.assignments(1001)
    assert now[rows[0].id]["title"] == "A new title"
    assert now[rows[1].id]["due_at"].startswith("2027-01-01T04:59:59")
    assert (now[rows[4].id]["status"], now[rows[4].id]["submission"]["workflow_state"]) == ("submitted", "submitted")
    assert now[new.id]["description_html"] == "<p>Task</p>"
    changed = {str(row[1]) for row in versions(db, synced.person) if before.get(row[1]) != row}
    assert changed == {now[number]["id"] for number in (rows[0].id, rows[1].id, rows[4].id, new.id)}


def test_a_locked_description_comes_back_by_itself(synced: Connected) -> None:
    row = synced.canvas.world.assignments_of(1001, 101)[0]
    synced.canvas.world.change_assignment(row.id, unlock_at="2099-01-01T00:00:00Z")
    synced.result()
    assert synced.assignments(1001)[row.id]["description_html"] is None
    synced.canvas.world.change_assignment(row.id, unlock_at=None)
    synced.result()
    assert synced.assignments(1001)[row.id]["description_html"] is not None


@pytest.mark.parametrize("by_ids", [True, False])
def test_what_is_gone_is_removed_and_what_returns_is_restored(synced: Connected, by_ids: bool) -> None:
    world = synced.canvas.world
    world.switches.id_confirmation = by_ids
    rows = world.assignments_of(1001, 101)
    ids = {row.id: synced.assignments(1001)[row.id]["id"] for row in rows}
    world.change_assignment(rows[0].id, deleted=True)
    world.change_assignment(rows[1].id, published=False)
    world.change_assignment(rows[2].id, visible_to={102})
    assert counts(synced.result()) == {**ZERO, "removed": 3}
    now = synced.assignments(1001)
    assert {number for number, row in now.items() if row["status"] == "removed"} == {row.id for row in rows[:3]}
    assert counts(synced.result()) == ZERO, "removed once"
    world.change_assignment(rows[0].id, deleted=False)
    world.change_assignment(rows[1].id, published=True, name="Published again")
    assert counts(synced.result()) == {**ZERO, "restored": 2}
    now = synced.assignments(1001)
    assert now[rows[1].id]["title"] == "Published again"
    assert {number: row["id"] for number, row in now.items()} == ids, "the same rows as before"
    assert now[rows[0].id]["status"] == "graded"


def test_a_lost_link_removes_nothing(synced: Connected) -> None:
    world = synced.canvas.world
    for _ in range(120):
        world.add_assignment(1001)
    synced.result()
    world.add_fault(kind="link_lost", path=r"/1001/assignments\?(?!.*assignment_ids)")
    result = synced.result()
    assert counts(result) == ZERO
    assert [error["code"] for error in result["errors"]] == ["pagination_refused"], "half a list is none"
    world.switches.paging = "numbered"
    result = synced.result()
    assert counts(result) == ZERO
    assert (result["status"], result["errors"]) == ("complete", []), "the next number brought the rest"
    assert result["assignments"]["seen"] >= 120


def test_rows_that_shift_between_pages_count_once(synced: Connected) -> None:
    world = synced.canvas.world
    world.switches.paging = "numbered"
    for _ in range(100):
        world.add_assignment(1001)
    listed = len(world.assignments_of(1001, 101))
    assert listed > 100
    result = synced.result()
    assert counts(result) == {**ZERO, "inserted": 100}
    everything = sum(len(world.assignments_of(course.id, 101)) for course in world.courses_of(101))
    assert result["assignments"]["seen"] == everything
    assert len(synced.assignments(1001)) == listed


def test_a_concluded_course_stays_readable(synced: Connected) -> None:
    world = synced.canvas.world
    world.change_course(1001, workflow_state="completed")
    world.change_course(1002, ended_for={101})
    result = synced.result()
    assert result["status"] == "complete"
    assert result["courses"]["updated"] == 2
    for canvas_id in (1001, 1002):
        course = synced.course(canvas_id)
        assert (course["workflow_state"], course["is_active"]) == ("completed", True)
        assert all(row["status"] != "removed" for row in synced.assignments(canvas_id).values())
    with world.lock:
        world.journal.clear()
    assert synced.result()["courses"]["updated"] == 0
    assert not world.requests("/courses/1001"), "nobody asks about it again and again"
    world.change_course(1001, workflow_state="available")
    synced.result()
    assert synced.course(1001)["workflow_state"] == "available"


def test_a_deleted_course_is_no_longer_active_and_may_return(synced: Connected) -> None:
    world = synced.canvas.world
    rows = len(synced.assignments(1002))
    world.change_course(1002, workflow_state="deleted")
    result = synced.result()
    assert (result["status"], result["courses"]["updated"]) == ("complete", 1)
    course = synced.course(1002)
    assert (course["workflow_state"], course["is_active"]) == ("deleted", False)
    assert len(synced.assignments(1002)) == rows
    world.change_course(1002, workflow_state="available")
    synced.result()
    assert synced.course(1002)["is_active"] is True


def test_a_restricted_course_keeps_what_is_known(synced: Connected) -> None:
    world = synced.canvas.world
    before = synced.course(1001)
    world.change_course(1001, restricted_for={101})
    new = world.add_course({101: "student"}, restricted_for={101})
    result = synced.result()
    assert result["status"] == "complete"
    assert result["courses"]["restricted"] == 2
    now = synced.course(1001)
    assert now["access_restricted"] is True
    kept = ("name", "course_code", "term", "workflow_state", "time_zone", "raw_payload", "content_hash", "is_active")
    assert {k: now[k] for k in kept} == {k: before[k] for k in kept}
    assert synced.course(new.id)["name"] == f"Course {new.id}"
    assert not world.requests("/courses/1001/assignments")
    world.change_course(1001, restricted_for=set())
    assert synced.result()["courses"]["updated"] == 1
    assert synced.course(1001)["access_restricted"] is False


def test_a_course_the_student_hides_is_left_alone(synced: Connected) -> None:
    course = synced.course(1001)
    answer = synced.person.rest.patch(f"/courses?id=eq.{course['id']}", json={"is_hidden": True})
    assert answer.status_code == 204
    synced.canvas.world.change_course(1001, name="Renamed")
    synced.result()
    assert not synced.canvas.world.requests("/courses/1001/assignments")
    assert (synced.course(1001)["name"], synced.course(1001)["is_hidden"]) == ("Renamed", True)
    synced.result(course_ids=[course["id"]])
    assert len(synced.canvas.world.requests("/courses/1001/assignments")) == 1


def test_only_the_named_courses_are_looked_at(synced: Connected) -> None:
    result = synced.result(course_ids=[synced.course(1002)["id"]])
    asked = [entry["path"] for entry in synced.canvas.world.requests("/assignments")]
    assert asked == ["/api/v1/courses/1002/assignments"]
    assert result["requests"] == 2


def test_a_teachers_drafts_are_not_for_learning(teacher: Connected) -> None:
    world = teacher.canvas.world
    draft = world.add_assignment(1001, published=False)
    row = world.assignments_of(1001, 201)[0]
    assert teacher.runner.run(teacher.first_job).failure is None
    assert draft.id not in teacher.assignments(1001)
    world.change_assignment(row.id, published=False)
    assert counts(teacher.result()) == {**ZERO, "removed": 1}
    assert teacher.assignments(1001)[row.id]["status"] == "removed"
    world.change_assignment(row.id, published=True)
    assert counts(teacher.result()) == {**ZERO, "restored": 1}


def test_a_key_that_ignores_includes_syncs_as_well(ann: Connected) -> None:
    ann.canvas.world.switches.allow_includes = False
    assert ann.runner.run(ann.first_job).failure is None
    assert ann.course(1001)["term"] is None
    assert {row["status"] for row in ann.assignments(1001).values()} == {"open"}


def test_ids_beyond_javascript_stay_exact(synced: Connected, db: Connection) -> None:
    big = max(course.id for course in synced.canvas.world.courses_of(101))
    assert big > 2**53
    row = db.execute(
        "select canvas_course_id from public.courses where user_id = %s order by 1 desc limit 1",
        (synced.person.user_id,),
    ).fetchone()
    assert row == (big,)


def test_two_students_of_one_course_have_rows_of_their_own(
    stack: Stack, synced: Connected, connection_id: str, stranger: Student
) -> None:
    done = connect(stack, stranger, connection_id, "student2")
    assert synced.runner.run(done["job_id"]).failure is None
    mine = {row["canvas_course_id"]: row["id"] for row in synced.person.rows("courses")}
    theirs = {row["canvas_course_id"]: row["id"] for row in stranger.rows("courses")}
    assert set(mine) & set(theirs)
    assert not set(mine.values()) & set(theirs.values())


def test_a_megabyte_of_html_is_stored_in_portions(synced: Connected) -> None:
    world = synced.canvas.world
    for _ in range(6):
        world.add_assignment(1001, description="<p>" + "long text " * 90_000 + "</p>")
    assert counts(synced.result()) == {**ZERO, "inserted": 6}
    assert counts(synced.result()) == ZERO
