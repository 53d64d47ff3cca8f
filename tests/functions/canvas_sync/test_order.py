"""Modules and the to-do list, where the installation allows us to read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from functions.canvas_sync.modules import item_rows
from functions.canvas_sync.todo import done_items
from scripts.native.stack import Stack
from tests.functions.canvas_sync.conftest import Connected
from tests.functions.canvas_sync.test_sync import versions
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Runner, connect, student

Connection = psycopg.Connection[Any]
COURSE = 1001


@pytest.fixture
def ordered(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, runner: Runner, db: Connection
) -> Iterator[Connected]:
    """student1, synced once, at a Canvas whose key allows modules and the to-do list."""
    settings = json.dumps({"reads": ["modules", "todo", "nonsense"]})
    db.execute("update public.lms_connections set settings = %s where id = %s", (settings, connection_id))
    db.commit()
    with student(stack) as person:
        done = connect(stack, person, connection_id, "student1")
        found = Connected(person, canvas, runner, done["integration"]["id"], done["job_id"])
        assert runner.run(found.first_job).failure is None
        canvas.world.journal.clear()
        yield found


def order(ordered: Connected) -> list[tuple[str | None, int]]:
    """Module and Canvas id of the course's assignments, as a list for the student sorts them."""
    rows = ordered.person.rows(
        "assignments",
        course_id=f"eq.{ordered.course(COURSE)['id']}",
        order="module_position.asc.nullslast,module_item_position,canvas_assignment_id",
        module_name="not.is.null",
    )
    return [(row["module_name"], row["canvas_assignment_id"]) for row in rows]


def changed(before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> set[str]:
    """Ids of the rows that were written in between."""
    return {str(row[1]) for row in set(after) - set(before)}


def test_modules_give_the_order_and_only_what_changed_is_written(ordered: Connected, db: Connection) -> None:
    world, person = ordered.canvas.world, ordered.person
    first, second, third, fourth = world.assignments_of(COURSE, 101)[:4]
    fourth.extra["quiz_id"] = 77
    later = world.add_module(COURSE, third, first, name="Week 2")
    heading = {"type": "SubHeader", "title": "Read"}
    week = world.add_module(COURSE, heading, second, {"type": "Quiz", "content_id": 77}, first, name="Week 1")
    week["position"], later["position"] = 1, 2
    result = ordered.result()
    assert result["status"] == "complete"
    listed = len(world.courses_of(101))
    assert result["requests"] == 1 + listed + 1 + listed + 1, "courses, assignments, announcements, modules, to-do"
    assert order(ordered) == [
        ("Week 1", second.id),
        ("Week 1", fourth.id),
        ("Week 1", first.id),
        ("Week 2", third.id),
    ]
    known = {row["canvas_assignment_id"]: row["id"] for row in ordered.assignments(COURSE).values()}

    before = versions(db, person)
    ordered.result()
    assert versions(db, person) == before, "nothing changed, so nothing is written"
    later["name"] = "Week two"
    ordered.result(course_ids=[ordered.course(COURSE)["id"]])
    named = versions(db, person)
    assert changed(before, named) == {known[third.id]}
    # Canvas leaves out the items of long modules, and of all modules where a key ignores include[]
    world.switches.module_items = False
    week["items"].pop()
    ordered.result()
    assert changed(named, versions(db, person)) == {known[first.id]}
    assert order(ordered)[2:] == [("Week two", third.id), ("Week two", first.id)]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 403},
        {"kind": "unauthorized"},
        {"kind": "truncated"},
        {"kind": "link_foreign"},
    ],
)
def test_modules_that_cannot_be_read_are_no_error_and_change_nothing(
    ordered: Connected, db: Connection, fault: dict[str, Any]
) -> None:
    world = ordered.canvas.world
    first, second = world.assignments_of(COURSE, 101)[:2]
    world.add_module(COURSE, first, second)
    world.mark(101, "assignment", first.id)
    ordered.result()
    before = versions(db, ordered.person)
    world.courses[COURSE].modules.clear()
    world.planner_overrides.clear()
    world.add_fault(path="/modules|/planner", **fault)
    result = ordered.result()
    assert (result["status"], result["errors"], result["assignments"]["removed"]) == ("complete", [], 0)
    assert versions(db, ordered.person) == before


def test_a_grant_without_these_scopes_is_not_used_for_them(ordered: Connected, db: Connection) -> None:
    scopes = "update public.integrations set scopes = array_remove(scopes, %s) where id = %s"
    db.execute(scopes, ("url:GET|/api/v1/planner/overrides", ordered.integration_id))
    db.execute(scopes, ("url:GET|/api/v1/courses/:course_id/modules", ordered.integration_id))
    db.commit()
    ordered.result()
    assert ordered.canvas.world.requests("/modules") == ordered.canvas.world.requests("/planner") == []


def test_a_key_that_lost_these_scopes_ends_no_sync(ordered: Connected) -> None:
    world = ordered.canvas.world
    grant = next(grant for grant in reversed(world.grants) if grant.person_id == 101)
    grant.scopes = [scope for scope in grant.scopes if "modules" not in scope and "planner" not in scope]
    assert ordered.result()["status"] == "complete"
    assert ordered.person.rows("integrations")[0]["status"] == "connected"


def test_what_is_marked_complete_in_canvas_leaves_the_persons_list(ordered: Connected, db: Connection) -> None:
    world, person = ordered.canvas.world, ordered.person
    given = [one for one in world.assignments_of(COURSE, 101) if (one.id, 101) not in world.submissions]
    marked, own, dismissed, topic = given[:4]
    topic.extra["discussion_topic"] = {"id": 88}
    known = {row["canvas_assignment_id"]: row["id"] for row in ordered.assignments(COURSE).values()}
    effort = {"assignment_id": known[own.id], "effort_minutes": 30, "done_at": "2026-11-01T00:00:00Z"}
    assert person.rest.post("/assignment_efforts", json=effort).status_code == 201
    said = person.rows("assignment_efforts")
    override = world.mark(101, "assignment", marked.id)
    world.mark(101, "assignment", dismissed.id, marked_complete=False, dismissed=True)
    world.mark(101, "discussion_topic", 88)
    world.mark(102, "assignment", dismissed.id)

    def open_ids() -> set[str]:
        return {row["id"] for row in person.rows("v_open_assignments")}

    everything = open_ids()
    assert known[own.id] not in everything
    ordered.result()
    assert everything - open_ids() == {known[marked.id], known[topic.id]}
    before = versions(db, person)
    ordered.result()
    assert versions(db, person) == before
    override["marked_complete"] = False
    ordered.result()
    assert changed(before, versions(db, person)) == {known[marked.id]}
    assert everything - open_ids() == {known[topic.id]}
    assert person.rows("assignment_efforts") == said, "their own word stays as it is"


def test_odd_lists_are_read_as_far_as_they_go() -> None:
    items = [
        {"type": "Page", "page_url": "x"},
        {"type": "Assignment", "content_id": "9", "position": 2.5},
        "nonsense",
        {"type": "Assignment", "content_id": None},
        {"type": "Discussion", "content_id": 2**62, "position": 3},
    ]
    rows = item_rows({"name": " \0", "position": "first"}, 5, 4, items)
    module = {"canvas_module_id": "5", "module_name": "Module 4", "module_position": 4}
    assert rows == [
        {**module, "item": "assignment:9", "module_item_position": 2},
        {**module, "item": f"discussion:{2**62}", "module_item_position": 3},
    ]
    assert item_rows({"position": 9}, 5, 4, items)[0]["module_position"] == 9
    done = {"marked_complete": True, "plannable_id": 7}
    assert done_items({**done, "plannable_type": "quiz", "assignment_id": 9}) == ["quiz:7", "assignment:9"]
    assert done_items({**done, "plannable_type": "wiki_page"}) == []
    assert done_items({**done, "plannable_type": "assignment", "marked_complete": "yes"}) == []
    assert done_items({**done, "plannable_type": "assignment", "workflow_state": "deleted"}) == []
