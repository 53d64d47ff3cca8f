"""An assignment follows Canvas: shown, withdrawn by its teacher, gone, and back, always as the same row."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.people import persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]

# what a complete list and the second look showed of an assignment
SEEN = ("published", "unpublished", "gone", "silent")
SHOWN, HIDDEN, MISSING, NEVER = ("open", False), ("removed", True), ("removed", False), None
# what its row says afterwards; silence proves nothing, and a draft that was never published is not stored
AFTER = {
    (NEVER, "published"): SHOWN,
    (NEVER, "unpublished"): NEVER,
    (NEVER, "gone"): NEVER,
    (NEVER, "silent"): NEVER,
    (SHOWN, "published"): SHOWN,
    (SHOWN, "unpublished"): HIDDEN,
    (SHOWN, "gone"): MISSING,
    (SHOWN, "silent"): SHOWN,
    (HIDDEN, "published"): SHOWN,
    (HIDDEN, "unpublished"): HIDDEN,
    (HIDDEN, "gone"): MISSING,
    (HIDDEN, "silent"): HIDDEN,
    (MISSING, "published"): SHOWN,
    (MISSING, "unpublished"): HIDDEN,
    (MISSING, "gone"): MISSING,
    (MISSING, "silent"): MISSING,
}


def listed(db: Connection, course: uuid.UUID, seen: dict[int, str]) -> int:
    """One run over a course, as the sync does it; how many were removed."""
    published = [number for number, what in seen.items() if what == "published"]
    given = [
        {"canvas_assignment_id": number, "title": "T", "status": "open", "content_hash": "1", "raw_payload": {}}
        for number in published
    ]
    db.execute("select * from public.svc_apply_assignments(%s, %s, '{}')", (course, json.dumps(given)))
    missing = set(one(db, "select public.svc_missing_assignments(%s, %s::bigint[])", (course, published)))
    hidden = [number for number, what in seen.items() if what == "unpublished"]
    gone = [number for number in sorted(missing - set(hidden)) if seen[number] == "gone"]
    finish = "select public.svc_finish_assignments(%s, %s::bigint[], '{}', %s::bigint[])"
    return int(one(db, finish, (course, gone, hidden)))


def states(db: Connection, course: uuid.UUID) -> dict[int, Any]:
    """Of each stored assignment: its row, status and mark."""
    found = db.execute(
        "select canvas_assignment_id, id, status::text, is_unpublished from public.assignments where course_id = %s",
        (course,),
    )
    return {number: (row_id, (status, mark)) for number, row_id, status, mark in found}


@pytest.mark.parametrize("seed", range(3))
def test_any_history_ends_as_the_last_look_says_and_keeps_its_row(db: Connection, seed: int) -> None:
    chance = random.Random(seed)
    person = persona(db)
    course = rows.course(db, person)
    numbers = range(1, 9)
    expected: dict[int, Any] = dict.fromkeys(numbers, NEVER)
    ids: dict[int, Any] = {}
    for _ in range(40):
        seen = {number: chance.choice(SEEN) for number in numbers}
        before = dict(expected)
        expected = {number: AFTER[expected[number], seen[number]] for number in numbers}
        removed = listed(db, course, seen)
        found = states(db, course)
        assert {number: state for number, (_, state) in found.items()} == {
            number: state for number, state in expected.items() if state is not NEVER
        }, seen
        left = [number for number in numbers if before[number] == SHOWN and expected[number] in (HIDDEN, MISSING)]
        assert removed == len(left)
        for number, (row_id, _) in found.items():
            assert ids.setdefault(number, row_id) == row_id, "the same row for ever"


def test_a_look_that_shows_the_same_writes_nothing(db: Connection) -> None:
    course = rows.course(db, persona(db))
    listed(db, course, {1: "published", 2: "published", 3: "published"})
    seen = {1: "published", 2: "unpublished", 3: "gone"}
    listed(db, course, seen)
    versions = "select array_agg(xmin::text || ctid::text order by id) from public.assignments where course_id = %s"
    before = one(db, versions, (course,))
    assert listed(db, course, seen) == 0
    assert one(db, versions, (course,)) == before


def test_the_mark_belongs_to_removed_rows_alone(db: Connection) -> None:
    made = rows.assignment(db, persona(db), status="removed", is_unpublished=True)
    db.execute("update public.assignments set status = 'graded' where id = %s", (made,))
    assert one(db, "select is_unpublished from public.assignments where id = %s", (made,)) is False
    refused(db, "23514", "update public.assignments set is_unpublished = true where id = %s", (made,))
