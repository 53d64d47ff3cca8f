"""Where assignments stand in modules, and what Canvas's to-do list says of them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg

from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import assignment, course, integration, one

Connection = psycopg.Connection[Any]
MOMENT = "2031-03-01T12:00:00Z"


def item(name: str, module: int, position: int) -> dict[str, Any]:
    """An item of a module as sync sends it."""
    place = {"canvas_module_id": str(100 + module), "module_name": f"M{module}", "module_position": module}
    return {"item": name, **place, "module_item_position": position}


def place(db: Connection, course_id: uuid.UUID, *items: dict[str, Any]) -> int:
    """Calls svc_apply_modules as the service."""
    with act_as(db, None, "service_role"):
        return int(one(db, "select public.svc_apply_modules(%s, %s)", (course_id, json.dumps(items))))


def places(db: Connection, course_id: uuid.UUID) -> dict[int, str | None]:
    """Module and position by Canvas id."""
    rows = db.execute(
        "select canvas_assignment_id, module_name || ' ' || module_item_position from public.assignments"
        " where course_id = %s",
        (course_id,),
    )
    return dict(rows.fetchall())


def written(db: Connection, course_id: uuid.UUID) -> set[int]:
    """Canvas ids of the assignments that sync wrote at the frozen moment."""
    query = "select canvas_assignment_id from public.assignments where course_id = %s and last_synced_at = %s"
    return {number for (number,) in db.execute(query, (course_id, MOMENT))}


def test_of_several_positions_the_first_counts(db: Connection) -> None:
    freeze(db, MOMENT)
    person = persona(db)
    here, elsewhere = course(db, person), course(db, person)
    for number, kept in ((1, {}), (2, {"quiz_id": 20}), (3, {"discussion_topic_id": "30"}), (4, {})):
        assignment(db, person, course_id=here, canvas_assignment_id=number, raw_payload=json.dumps(kept))
    assignment(db, person, course_id=elsewhere, canvas_assignment_id=1)
    given = (
        item("assignment:1", 2, 1),
        item("assignment:1", 1, 9),
        item("quiz:20", 1, 3),
        item("assignment:2", 1, 4),
        item("discussion:30", 1, 2),
        item("quiz:3", 1, 1),
    )
    assert place(db, here, *given) == 3
    assert places(db, here) == {1: "M1 9", 2: "M1 3", 3: "M1 2", 4: None}
    assert places(db, elsewhere) == {1: None}
    assert written(db, here) == {1, 2, 3}
    assert place(db, here, *given) == 0
    db.execute("update public.assignments set status = 'removed' where course_id = %s and canvas_id = '3'", (here,))
    assert place(db, here, item("quiz:20", 1, 3)) == 1
    assert places(db, here) == {1: None, 2: "M1 3", 3: "M1 2", 4: None}, "a removed one keeps what is known"


def test_marks_belong_to_one_integration_and_end_with_its_person(db: Connection) -> None:
    freeze(db, MOMENT)
    person = persona(db)
    mine, other = integration(db, person), integration(db, person)
    courses = [course(db, person, integration_id=one) for one in (mine, other)]
    for course_id in courses:
        for number in (1, 2):
            assignment(db, person, course_id=course_id, canvas_assignment_id=number, content_hash=None)

    def apply(*done: str) -> int:
        with act_as(db, None, "service_role"):
            return int(one(db, "select public.svc_apply_todo(%s, %s)", (mine, list(done))))

    def marked() -> list[tuple[Any, ...]]:
        rows = db.execute(
            "select course_id = %s, canvas_assignment_id from public.assignments where user_id = %s"
            " and is_done_in_canvas order by 1, 2",
            (courses[0], person),
        )
        return rows.fetchall()

    assert (apply("assignment:1", "quiz:2"), apply("assignment:1")) == (1, 0)
    assert marked() == [(True, 1)]
    assert written(db, courses[0]) == {1}
    assert (apply("assignment:2"), marked()) == (2, [(True, 2)])
    db.execute("select private.part_from_canvas_person(%s, '101')", (mine,))
    assert marked() == []


def test_what_they_refuse(db: Connection) -> None:
    here = course(db, persona(db))
    with act_as(db, None, "service_role"):
        refused(db, "PT404", "select public.svc_apply_modules(%s, '[]')", (uuid.uuid4(),))
        refused(db, "22023", "select public.svc_apply_modules(%s, '{}')", (here,))
        refused(db, "22023", "select public.svc_apply_modules(%s, null)", (here,))
        refused(db, "22004", "select public.svc_apply_todo(%s, null)", (here,))
