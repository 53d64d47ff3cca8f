"""Pages of several courses in one call, and the cursors of a run."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import course, integration, one

Connection = psycopg.Connection[Any]
CURSOR = {"run": "r", "listing": "assignments", "open": ["http://a/2"], "shown": [1], "hidden": [], "seen": 1}


def row(number: int, **fields: Any) -> dict[str, Any]:
    """An assignment as sync sends it."""
    given = {"canvas_assignment_id": number, "title": "T", "status": "open", "content_hash": "1"}
    return {**given, "raw_payload": {}, **fields}


def apply(db: Connection, *pages: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls svc_apply_assignment_pages as the service."""
    with act_as(db, None, "service_role"):
        answer = db.execute("select public.svc_apply_assignment_pages(%s)", (json.dumps(pages),)).fetchone()
    assert answer is not None
    return list(answer[0])


def page(course_id: uuid.UUID, *rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One page."""
    return {"course_id": str(course_id), "assignments": rows, "cursor": CURSOR, **fields}


def ended(shown: list[int], **fields: Any) -> dict[str, Any]:
    """What is added when a list is complete."""
    return {"shown": shown, "hidden": [], "finished": {"run": "r", "open": [], "complete_at": "now"}, **fields}


def removed(db: Connection, course_id: uuid.UUID) -> list[int]:
    """Canvas ids of the course's removed assignments."""
    rows = db.execute(
        "select canvas_assignment_id from public.assignments where course_id = %s and status = 'removed' order by 1",
        (course_id,),
    )
    return [number for (number,) in rows]


def cursor(db: Connection, course_id: uuid.UUID) -> Any:
    """The cursor that is stored."""
    return one(db, "select cursor from public.course_sync_state where course_id = %s", (course_id,))


def test_pages_of_several_courses_are_written_with_their_cursors(db: Connection) -> None:
    person = persona(db, "student")
    first, second = (course(db, person) for _ in range(2))
    answers = apply(db, page(first, row(1), row(2)), page(second, row(3)))
    assert [(a["inserted"], a["unseen"], a["is_finished"]) for a in answers] == [(2, [], False), (1, [], False)]
    assert cursor(db, first) == CURSOR
    answers = apply(db, page(first, row(1), row(2, content_hash="2")), page(second, **ended([3])))
    assert [(a["unchanged"], a["updated"], a["is_finished"]) for a in answers] == [(1, 1, False), (0, 0, True)]
    assert cursor(db, second)["complete_at"] == "now"


def test_what_a_complete_list_lacks_is_looked_at_before_it_is_removed(db: Connection) -> None:
    given = course(db, persona(db, "student"))
    apply(db, page(given, *(row(number) for number in range(1, 6))))
    answer = apply(db, page(given, **ended([1, 2], hidden=[3])))[0]
    assert (answer["unseen"], answer["is_finished"], answer["removed"]) == ([4, 5], False, 0)
    assert removed(db, given) == []
    assert cursor(db, given) == CURSOR, "the list is not finished"
    answer = apply(db, page(given, **ended([1, 2], hidden=[3], gone=[4])))[0]
    assert (answer["unseen"], answer["is_finished"], answer["removed"]) == ([], True, 2)
    assert removed(db, given) == [3, 4], "5 was neither seen nor named as gone, so it stays"
    answer = apply(db, page(given, row(4), **ended([1, 2, 4, 5], hidden=[3])))[0]
    assert (answer["restored"], answer["is_finished"]) == (1, True)


def test_an_id_that_is_gone_but_was_shown_stays(db: Connection) -> None:
    given = course(db, persona(db, "student"))
    apply(db, page(given, row(1)))
    assert apply(db, page(given, **ended([1], gone=[1])))[0]["removed"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        row(2, due_at="no time"),
        row(2, points_possible="many"),
        row(2, status="unknown"),
        row(2, title=None),
        row(2, canvas_assignment_id=None),
    ],
)
def test_a_row_that_the_database_refuses_fails_its_course_alone(db: Connection, bad: dict[str, Any]) -> None:
    person = persona(db, "student")
    fine, spoilt = (course(db, person) for _ in range(2))
    gone = uuid.uuid4()
    answers = apply(db, page(spoilt, row(1), bad), page(gone, row(1)), page(fine, row(1)))
    assert answers[0] == {"error": "canvas_bad_answer"}
    assert answers[1] == {"error": "course_gone"}
    assert answers[2]["inserted"] == 1
    assert one(db, "select count(*) from public.assignments where course_id = %s", (spoilt,)) == 0
    assert cursor(db, spoilt) is None


def test_a_run_finds_its_own_fresh_cursors(db: Connection) -> None:
    person = persona(db, "student")
    freeze(db, "2026-11-01T12:00:00Z")
    mine, other = integration(db, person), integration(db, person)
    first, second = course(db, person, integration_id=mine), course(db, person, integration_id=other)
    old, older_run = course(db, person, integration_id=mine), course(db, person, integration_id=mine)
    apply(db, page(first), page(second), page(old), page(older_run, cursor={**CURSOR, "run": "before"}))
    db.execute(
        "update public.course_sync_state set last_polled_at = last_polled_at - interval '16 minutes'"
        " where course_id = %s",
        (old,),
    )
    with act_as(db, None, "service_role"):
        found = one(db, "select public.svc_get_sync_cursors(%s, 'r')", (mine,))
        assert found == {str(first): CURSOR}
        assert one(db, "select public.svc_get_sync_cursors(%s, 'other')", (mine,)) == {}
        refused(db, "22004", "select public.svc_get_sync_cursors(%s, null)", (mine,))
        refused(db, "22023", "select public.svc_apply_assignment_pages('{}')")
