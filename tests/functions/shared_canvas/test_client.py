"""Courses, assignments, and the second look."""

from __future__ import annotations

from typing import Any, cast

import pytest

from functions.shared.canvas.authenticated import AuthenticatedCanvas
from functions.shared.canvas.client import Canvas, Confirmation, named_ids, row_id
from functions.shared.canvas.errors import CourseForbidden
from functions.shared.canvas.tokens import StoredToken, TokenStore
from functions.shared.canvas.transport import Transport
from tests.standins.canvas import CanvasStandIn


class OneToken:
    """A store with one token that lives for ever; the real one is tried in test_tokens.py."""

    def __init__(self, token: str) -> None:
        self._token = StoredToken(token, None, None, 1)

    def current(self) -> StoredToken:
        """The token."""
        return self._token


@pytest.fixture
def client(transport: Transport, token: str) -> Canvas:
    return Canvas(AuthenticatedCanvas(transport, cast(TokenStore, OneToken(token))))


def ids(pages: Any) -> list[int]:
    """Ids of all rows."""
    return [row["id"] for page in pages for row in page.rows]


def test_courses_bring_their_term_and_assignments_the_own_submission(canvas: CanvasStandIn, client: Canvas) -> None:
    courses = [row for page in client.courses() for row in page.rows]
    assert {row["term"]["name"] for row in courses} == {"Fall 2026"}
    rows = [row for page in client.assignments(1001) for row in page.rows]
    assert len(rows) == len(canvas.world.assignments_of(1001, 101))
    assert {row["submission"]["user_id"] for row in rows} == {101}


def test_a_key_that_ignores_includes_is_no_obstacle(canvas: CanvasStandIn, client: Canvas) -> None:
    canvas.world.switches.allow_includes = False
    assert all("term" not in row for page in client.courses() for row in page.rows)
    assert all("submission" not in row for page in client.assignments(1001) for row in page.rows)


@pytest.mark.parametrize("by_ids", [True, False])
def test_the_second_look_tells_gone_from_overlooked(canvas: CanvasStandIn, client: Canvas, by_ids: bool) -> None:
    world = canvas.world
    world.switches.id_confirmation = by_ids
    rows = world.assignments_of(1001, 101)
    world.change_assignment(rows[0].id, deleted=True)
    world.change_assignment(rows[1].id, published=False)
    world.change_assignment(rows[2].id, visible_to={102})
    asked = [row.id for row in rows[:5]]
    found = client.confirm_gone(1001, asked)
    assert found.gone == {rows[0].id, rows[1].id, rows[2].id}
    assert sorted(row["id"] for row in found.still_there) == sorted(asked[3:])


def test_many_are_confirmed_in_batches(canvas: CanvasStandIn, client: Canvas) -> None:
    asked = list(range(70001, 70121))
    assert client.confirm_gone(1001, asked).gone == set(asked)
    assert len(canvas.world.requests("/assignments")) == 3


def test_a_refusal_that_names_nobody_is_settled_one_by_one(canvas: CanvasStandIn, client: Canvas) -> None:
    rows = canvas.world.assignments_of(1001, 101)
    canvas.world.change_assignment(rows[0].id, deleted=True)
    canvas.world.add_fault(kind="status", path="assignment_ids", status=400)
    found = client.confirm_gone(1001, [rows[0].id, rows[1].id])
    assert found.gone == {rows[0].id}
    assert [row["id"] for row in found.still_there] == [rows[1].id]


def test_an_id_that_an_answer_leaves_out_is_not_gone(canvas: CanvasStandIn, client: Canvas) -> None:
    world = canvas.world
    rows = world.assignments_of(1001, 101)
    asked = [row.id for row in rows[:4]]
    # the list answers 200 with nothing in it, as some proxies and old installations do
    world.add_fault(kind="empty_list", path="assignment_ids")
    found = client.confirm_gone(1001, asked)
    assert found.gone == frozenset()
    assert sorted(row["id"] for row in found.still_there) == sorted(asked)
    world.change_assignment(rows[0].id, deleted=True)
    assert client.confirm_gone(1001, asked).gone == {rows[0].id}, "its own 404 proves it"


def test_an_assignment_that_is_only_closed_stays_as_it_is(canvas: CanvasStandIn, client: Canvas) -> None:
    rows = canvas.world.assignments_of(1001, 101)
    canvas.world.add_fault(kind="empty_list", path="assignment_ids")
    canvas.world.add_fault(kind="unauthorized", path=f"/assignments/{rows[0].id}")
    found = client.confirm_gone(1001, [rows[0].id])
    assert found == Confirmation(frozenset(), [])


def test_a_course_that_closes_in_between_confirms_nothing(canvas: CanvasStandIn, client: Canvas) -> None:
    canvas.world.change_course(1001, hidden_assignments_for={101})
    with pytest.raises(CourseForbidden):
        client.confirm_gone(1001, [1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("77520000000029520", 77520000000029520),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (0, None),
        (-1, None),
        (True, None),
        (7.0, None),
        ("7a", None),
        ("٣", None),
        (None, None),
        ([7], None),
    ],
)
def test_ids_come_as_numbers_or_text(value: object, expected: int | None) -> None:
    assert row_id({"id": value}) == expected


def test_only_canvas_own_refusal_names_ids() -> None:
    assert named_ids({"message": "Invalid assignment_ids: 7,9"}) == {7, 9}
    assert named_ids({"message": "Invalid bucket: 7"}) == set()
    assert named_ids({"errors": [{"message": "Invalid assignment_ids: 7"}]}) == set()
    assert named_ids(None) == set()
