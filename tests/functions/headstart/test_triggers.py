"""Headstarts that start by themselves, from the student's wish to the newer document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.headstart.triggers import scan as scan_handler
from functions.shared.jobs import HandlerRegistry
from tests.functions.headstart.conftest import Desk
from tests.support.canvas import Runner


class Scans:
    """Only this type: other tests leave headstarts in the queue that nobody writes."""

    @staticmethod
    def register(registry: HandlerRegistry) -> None:
        """Registers the handler."""
        registry.add("headstart_scan", scan_handler)


@pytest.fixture
def runner(desk: Desk) -> Any:
    """Runs the jobs that look for what is to be started in this process."""
    made = Runner(desk.environment(), Scans)
    yield made
    made.close()


def scan(desk: Desk, runner: Runner) -> dict[str, int]:
    """Runs the job that the database has enqueued for this person, then writes the headstart; the outcomes."""
    ((job,),) = desk.sql(
        "select j.id::text from public.jobs as j join private.job_runtime as r on r.job_id = j.id"
        " where j.type = 'headstart_scan' and j.status = 'queued' and r.payload ->> 'user_id' = %s",
        desk.person.user_id,
    )
    ended = runner.run(job)
    assert ended.failure is None, ended.failure
    for run in desk.person.rows("headstart_runs", status="eq.queued"):
        assert desk.handle(run["id"]) == "succeeded"
    return dict(ended.result or {})


def test_from_a_wish_to_the_newer_document(desk: Desk, runner: Runner) -> None:
    rest = desk.person.rest
    wish = {"preferences": {"headstart": {"auto": True, "max_per_day": 3}}}
    bad = {"preferences": {"headstart": {"auto": True, "max_per_day": 21}}}
    mine = f"/user_settings?user_id=eq.{desk.person.user_id}"
    refused = rest.patch(mine, json=bad)
    assert (refused.status_code, refused.json()["code"]) == (400, "23514")
    assert refused.json()["message"] == "preferences.headstart.max_per_day must be a whole number from 0 to 20"
    assert rest.patch(mine, json=wish).status_code == 204

    course = desk.person.rows("courses")[0]["id"]
    apply = "select * from public.svc_apply_assignments(%s, %s, '{}')"
    row = {
        "canvas_assignment_id": 990001,
        "title": "Water",
        "status": "open",
        "description_html": "<p>Explain how water moves through a tree, in your own words.</p>",
        "due_at": "2031-05-09T21:59:00+00:00",
        "content_hash": "1",
    }
    desk.sql(apply, course, json.dumps([row]))
    assert scan(desk, runner) == {"started": 1}
    row |= {
        "description_html": "<p>Explain how water moves through a moss, in your own words.</p>",
        "content_hash": "2",
    }
    desk.sql(apply, course, json.dumps([row]))
    assert scan(desk, runner) == {"started": 1}

    (assignment,) = desk.person.rows("assignments", title="eq.Water")
    docs = desk.person.rows("headstart_docs", assignment_id=f"eq.{assignment['id']}", order="created_at")
    assert [doc["status"] for doc in docs] == ["superseded", "ready"]
    assert all(doc["content_md"] for doc in docs)
    runs = desk.person.rows("headstart_runs", assignment_id=f"eq.{assignment['id']}", order="created_at")
    assert [(run["trigger"], run["status"]) for run in runs] == [
        ("assignment_published", "succeeded"),
        ("content_changed", "succeeded"),
    ]
    assert desk.notifications() == ["headstart_ready", "headstart_ready"]
    assert "moss" in json.dumps(desk.model.requests[-1]["body"]["messages"])

    # done is said over REST, twice, as a front end upserts it
    for done in ("2030-01-01T10:00:00Z", "2030-01-02T10:00:00Z"):
        effort = {"assignment_id": assignment["id"], "user_id": desk.person.user_id, "done_at": done}
        merged = {"Prefer": "resolution=merge-duplicates"}
        assert rest.post("/assignment_efforts", json=effort, headers=merged).status_code in (200, 201)
    assert assignment["id"] not in [row["id"] for row in desk.person.rows("v_open_assignments")]
    desk.sql(apply, course, json.dumps([{**row, "title": "Moss", "content_hash": "3"}]))
    assert scan(desk, runner) == {"over": 1}


def test_the_schedule_starts_what_is_due_soon_once(desk: Desk, runner: Runner) -> None:
    desk.sql("update public.assignments set due_at = now() + interval '1 day' where id = %s", desk.assignment_id)
    wish = json.dumps({"headstart": {"auto": True}})
    desk.sql("update public.user_settings set preferences = %s where user_id = %s", wish, desk.person.user_id)
    for _ in range(2):
        ((job,),) = desk.sql("select job_id::text from public.svc_enqueue_job('headstart_scan')")
        assert runner.run(job).failure is None
        runs = desk.person.rows("headstart_runs", assignment_id=f"eq.{desk.assignment_id}")
        assert [(run["trigger"], run["status"]) for run in runs] == [("due_soon", "queued")]
