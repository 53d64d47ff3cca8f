"""Calendar feeds from end to end: added, read, broken, gone, and replaced by the account."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.native.stack import Stack
from tests.functions.canvas_sync.test_scheduled import sql
from tests.standins.canvas import CanvasStandIn
from tests.standins.canvas.feeds import calendar
from tests.support.canvas import Ended, Runner, Student, connect

SECRET = "/feeds/calendars/user_secret101.ics"  # the address of a stand-in's person


def add(person: Student, canvas: CanvasStandIn, **body: Any) -> dict[str, Any]:
    answer = person.functions.post("/canvas-sync/feeds", json={"url": canvas.url + SECRET, **body})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def again(person: Student, runner: Runner) -> Ended:
    started = person.functions.post("/canvas-sync/runs", json={})
    assert started.status_code == 202, started.text
    return runner.run(started.json()["job_id"])


def counts(ended: Ended) -> dict[str, int]:
    assert ended.failure is None, ended.failure
    assert ended.result is not None
    return {name: number for name, number in ended.result["assignments"].items() if number}


def rows_of(person: Student, canvas_course_id: int) -> dict[int, dict[str, Any]]:
    (course,) = person.rows("courses", canvas_course_id=f"eq.{canvas_course_id}")
    found = person.rows("assignments", course_id=f"eq.{course['id']}")
    return {row["canvas_assignment_id"]: row for row in found}


def test_a_feed_brings_courses_and_due_dates(
    stack: Stack, canvas: CanvasStandIn, stranger: Student, runner: Runner
) -> None:
    added = add(stranger, canvas, name="My courses")
    first = runner.run(added["job_id"])
    stored = counts(first)
    assert stored == {"seen": stored["seen"], "inserted": stored["seen"]}
    (integration,) = stranger.rows("integrations")
    assert (integration["provider"], integration["status"]) == ("canvas_feed", "connected")
    assert (integration["id"], integration["metadata"]) == (added["integration_id"], {"name": "My courses"})
    (course,) = stranger.rows("courses", canvas_course_id="eq.1001")
    assert (course["name"], course["course_code"], course["raw_payload"]) == ("CSC 173", "CSC 173", {"source": "feed"})
    now = datetime.now(UTC)
    there = {
        row.id: row
        for row in canvas.world.assignments_of(1001, 101)
        if row.due_at and now - timedelta(days=30) < datetime.fromisoformat(row.due_at)
    }
    rows = rows_of(stranger, 1001)
    assert rows.keys() == there.keys()
    for number, row in rows.items():
        assert (row["title"], row["status"]) == (there[number].name, "open")
        assert row["canvas_url"] == f"{canvas.url}/courses/1001/assignments/{number}"
        assert row["raw_payload"]["source"] == "feed"
    # the address is stored nowhere in clear
    ((sealed,),) = sql(
        stack, "select url_enc from private.integration_feeds where integration_id = %s", added["integration_id"]
    )
    assert sealed.startswith("v1:")
    shown = [stranger.rows(table) for table in ("integrations", "courses", "jobs", "course_sync_state")]
    assert "user_secret" not in json.dumps([*shown, first.result])

    # nothing new, then a change, a deletion and a return; what is past or of a course that is over stays
    assert counts(again(stranger, runner)) == {}, "the same calendar"
    late = sorted((row for row in there.values()), key=lambda row: str(row.due_at))
    canvas.world.change_assignment(late[-1].id, deleted=True)
    canvas.world.change_assignment(late[-2].id, name="Renamed")
    canvas.world.change_assignment(late[0].id, due_at=(now - timedelta(days=40)).isoformat())
    canvas.world.change_course(1002, workflow_state="completed")
    changed = counts(again(stranger, runner))
    assert {name: changed[name] for name in ("updated", "removed")} == {"updated": 1, "removed": 1}
    rows = rows_of(stranger, 1001)
    assert (rows[late[-1].id]["status"], rows[late[0].id]["status"]) == ("removed", "open")
    assert rows[late[-2].id]["title"] == "Renamed"
    assert {row["status"] for row in rows_of(stranger, 1002).values()} == {"open"}
    canvas.world.change_assignment(late[-1].id, deleted=False)
    assert counts(again(stranger, runner))["restored"] == 1
    assert rows_of(stranger, 1001)[late[-1].id]["id"] == rows[late[-1].id]["id"]


def test_what_is_no_calendar_changes_nothing(canvas: CanvasStandIn, stranger: Student, runner: Runner) -> None:
    assert counts(runner.run(add(stranger, canvas)["job_id"]))
    before = (stranger.rows("assignments", order="id"), stranger.rows("courses", order="id"))
    with canvas.world.lock:
        whole = calendar_of(canvas)
    for content in (b"<html>Sign in</html>", whole[: len(whole) // 2], b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"):
        canvas.world.feed_content = content
        ended = again(stranger, runner)
        code = ended.failure.code if ended.failure else None
        assert code == (None if content.endswith(b"END:VCALENDAR\r\n") else "feed_unreadable")
        if ended.failure:
            assert "secret" not in f"{ended.failure} {ended.failure.message} {ended.failure.detail}"
        assert (stranger.rows("assignments", order="id"), stranger.rows("courses", order="id")) == before
    canvas.world.feed_content = None
    canvas.world.add_fault(kind="status", path="/feeds", status=503)
    ended = again(stranger, runner)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("feed_unavailable", True)
    assert (stranger.rows("assignments", order="id"), stranger.rows("courses", order="id")) == before


def calendar_of(canvas: CanvasStandIn) -> bytes:
    from tests.standins.canvas.app import create_app

    with create_app(canvas.world).test_request_context(base_url=canvas.url):
        return calendar(canvas.world, 101)


def test_an_address_that_stopped_working_is_told_once_and_can_be_replaced(
    canvas: CanvasStandIn, stranger: Student, runner: Runner
) -> None:
    added = add(stranger, canvas)
    assert counts(runner.run(added["job_id"]))
    canvas.world.closed_feeds.add(101)
    ended = again(stranger, runner)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("feed_gone", False)
    (told,) = stranger.rows("notifications", type="eq.integration_error")
    assert told["title"] == "Add your Canvas calendar again"
    assert told["payload"] == {"integration_id": added["integration_id"], "code": "feed_gone"}
    assert stranger.functions.post("/canvas-sync/runs", json={}).status_code == 409
    canvas.world.closed_feeds.clear()
    back = add(stranger, canvas)
    assert back["integration_id"] == added["integration_id"]
    assert runner.run(back["job_id"]).failure is None
    (told,) = stranger.rows("notifications", type="eq.integration_error")
    assert told["status"] == "dismissed"


def test_the_account_takes_the_feeds_courses_over(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, stranger: Student, runner: Runner
) -> None:
    added = add(stranger, canvas)
    assert counts(runner.run(added["job_id"]))
    before = {row["canvas_id"]: row["id"] for row in stranger.rows("assignments")}
    done = next(iter(rows_of(stranger, 1001).values()))
    effort = {"assignment_id": done["id"], "user_id": stranger.user_id, "effort_minutes": 30}
    assert stranger.rest.post("/assignment_efforts", json=effort).status_code == 201
    connected = connect(stack, stranger, connection_id)
    assert runner.run(connected["job_id"]).failure is None
    after = {row["canvas_id"]: row["id"] for row in stranger.rows("assignments")}
    assert before.items() <= after.items(), "the same rows"
    assert len(after) > len(before), "and those without a date"
    course = stranger.rows("courses", canvas_course_id="eq.1001")[0]
    assert course["integration_id"] == connected["integration"]["id"]
    assert course["name"] == "Computation and Formal Systems"
    assert "source" not in rows_of(stranger, 1001)[done["canvas_assignment_id"]]["raw_payload"]
    assert len(stranger.rows("assignment_efforts")) == 1
    assert stranger.rows("notifications", type="eq.assignment_new") == [], "what the account adds is no news"
    states = {row["provider"]: row["status"] for row in stranger.rows("integrations")}
    assert states == {"canvas": "connected", "canvas_feed": "revoked"}
    kept = "select count(*) from private.integration_feeds where integration_id = %s"
    assert sql(stack, kept, added["integration_id"]) == [(0,)]
    refused = stranger.functions.post("/canvas-sync/feeds", json={"url": canvas.url + SECRET})
    assert (refused.status_code, refused.json()["code"]) == (409, "canvas_already_connected")

    # and back: an account that is disconnected leaves its courses to the feed
    gone = stranger.functions.delete(f"/canvas-oauth/integrations/{connected['integration']['id']}")
    assert gone.status_code == 204
    assert counts(runner.run(add(stranger, canvas)["job_id"])).keys() <= {"seen", "updated", "unchanged"}
    assert {row["canvas_id"]: row["id"] for row in stranger.rows("assignments")} == after
    assert stranger.rows("courses", canvas_course_id="eq.1001")[0]["name"] == "Computation and Formal Systems"
    assert stranger.functions.delete(f"/canvas-oauth/integrations/{added['integration_id']}").status_code == 204
    assert sql(stack, kept, added["integration_id"]) == [(0,)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "https://canvas.example.edu/calendar?x=secret1"}, "feed_url_invalid"),
        ({"url": "http://canvas.example.edu/feeds/calendars/secret1.ics"}, "feed_url_invalid"),
        ({"url": ""}, "validation_failed"),
        ({}, "validation_failed"),
        ({"url": "https://c.edu/feeds/calendars/secret1.ics", "name": ""}, "validation_failed"),
    ],
)
def test_bad_bodies_are_refused_without_an_echo(stranger: Student, body: dict[str, str], code: str) -> None:
    answer = stranger.functions.post("/canvas-sync/feeds", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "secret1" not in answer.text
    assert stranger.rows("integrations") == []


def test_a_feed_of_a_private_address_is_not_fetched(stranger: Student, runner: Runner) -> None:
    url = f"https://10.0.0.1/feeds/calendars/{uuid.uuid4().hex}.ics"
    added = stranger.functions.post("/canvas-sync/feeds", json={"url": url})
    ended = runner.run(added.json()["job_id"])
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("feed_unreadable", False)
