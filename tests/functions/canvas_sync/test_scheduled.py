"""What comes without asking: syncs by the clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from scripts.native.stack import Stack
from tests.functions.canvas_sync.conftest import Connected


def sql(stack: Stack, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Runs a statement as the database's owner."""
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        cursor = db.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def now() -> str:
    """The moment as Canvas writes it."""
    return datetime.now(UTC).isoformat()


def test_the_scan_starts_a_sync_that_its_owner_sees(stack: Stack, synced: Connected) -> None:
    sql(
        stack,
        "update private.integration_schedules set next_sync_at = now(), asked_at = null where integration_id = %s",
        synced.integration_id,
    )
    ((job,),) = sql(stack, "select job_id::text from public.svc_enqueue_job('canvas_sync_scan')")
    off = synced.runner.run(job).result
    assert off is not None
    assert (off["started"], off["postponed"]) == (0, 0)
    assert "CANVAS_BACKGROUND_SYNC is off" in off["note"]
    assert synced.person.rows("jobs", type="eq.canvas_sync", status="eq.queued") == []

    synced.runner.settings = replace(synced.runner.settings, canvas_background_sync=True)
    ((job,),) = sql(stack, "select job_id::text from public.svc_enqueue_job('canvas_sync_scan')")
    found = synced.runner.run(job).result
    assert found is not None
    assert found["started"] >= 1
    (started,) = synced.person.rows("jobs", type="eq.canvas_sync", status="eq.queued")
    # asking joins it and brings it forward
    assert synced.result()["status"] == "complete"
    (ended,) = synced.person.rows("jobs", id=f"eq.{started['id']}")
    assert ended["status"] == "succeeded"


def test_announcements_are_told_once_to_students_and_teachers(synced: Connected, teacher: Connected) -> None:
    assert teacher.runner.run(teacher.first_job).failure is None
    told = {"type": "eq.announcement", "order": "created_at"}
    assert synced.person.rows("notifications", **told) == [], "the welcome of three days ago is no news"
    with synced.canvas.world.lock:
        for number, author in ((9100, 202), (9101, 201)):
            row = {"id": number, "title": "Room change", "posted_at": now(), "author": {"id": author}}
            synced.canvas.world.courses[1001].announcements.append(row)
        # one closed course fails the whole call for all that are asked for with it
        synced.canvas.world.courses[1002].workflow_state = "deleted"
    for _ in range(2):
        for who in (synced, teacher):
            assert who.result()["errors"] == []
    found = synced.person.rows("notifications", **told)
    course = synced.course(1001)
    assert [row["payload"]["canvas_announcement_id"] for row in found] == ["9100", "9101"]
    assert found[0]["body"] == f"Room change\n{course['name']}"
    assert found[0]["payload"]["course_id"] == course["id"]
    assert found[0]["payload"]["url"] == f"{synced.canvas.url}/courses/1001/discussion_topics/9100"
    (own,) = teacher.person.rows("notifications", **told)
    assert own["payload"]["canvas_announcement_id"] == "9100", "not what the teacher wrote themselves"


def test_announcements_never_fail_a_run(synced: Connected) -> None:
    for fault in ({"kind": "html"}, {"kind": "status", "status": 500}, {"kind": "drop"}):
        synced.canvas.world.faults.clear()
        synced.canvas.world.add_fault(path="/announcements", **fault)
        assert synced.result()["status"] == "complete", fault


def test_what_is_due_is_told_by_the_scan(stack: Stack, synced: Connected) -> None:
    due = "update public.assignments set due_at = now() + interval '3 hours' where user_id = %s and status = 'open'"
    sql(
        stack,
        due + " and id = (select id from public.v_open_assignments where user_id = %s limit 1)",
        synced.person.user_id,
        synced.person.user_id,
    )
    before = len(synced.person.rows("notifications", type="eq.assignment_due"))
    for _ in range(2):
        ((job,),) = sql(stack, "select job_id::text from public.svc_enqueue_job('due_scan')")
        assert synced.runner.run(job).failure is None
    assert len(synced.person.rows("notifications", type="eq.assignment_due")) > before
