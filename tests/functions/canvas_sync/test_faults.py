"""Canvas in trouble, grants that die, processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.clock import SystemClock
from functions.shared.crypto import Envelope
from functions.shared.database import rpc, run
from scripts.native.stack import Stack
from tests.functions.canvas_sync.conftest import Connected
from tests.functions.canvas_sync.test_sync import ZERO, counts, versions
from tests.support.canvas import connect
from tests.support.waiting import wait_until

Connection = psycopg.Connection[Any]

LISTING = r"/1002/assignments"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 500}, "canvas_unavailable"),
        ({"kind": "status", "status": 503, "body": "html"}, "canvas_unavailable"),
        ({"kind": "drop"}, "canvas_unavailable"),
        ({"kind": "html"}, "canvas_bad_answer"),
        ({"kind": "truncated"}, "canvas_bad_answer"),
        ({"kind": "not_list"}, "canvas_bad_answer"),
        ({"kind": "redirect"}, "canvas_bad_answer"),
        ({"kind": "link_loop"}, "pagination_refused"),
        ({"kind": "link_foreign"}, "pagination_refused"),
        ({"kind": "link_http"}, "pagination_refused"),
        ({"kind": "link_endless"}, "pagination_refused"),
        ({"kind": "unauthorized"}, "course_forbidden"),
        ({"kind": "status", "status": 403}, "course_forbidden"),
        ({"kind": "status", "status": 404}, "course_gone"),
    ],
)
def test_one_failing_course_is_reported_and_stops_nobody(
    synced: Connected, db: Connection, fault: dict[str, Any], code: str
) -> None:
    world = synced.canvas.world
    world.change_assignment(world.assignments_of(1001, 101)[0].id, name="New")
    gone = world.assignments_of(1002, 101)[0]
    world.change_assignment(gone.id, deleted=True)
    world.add_fault(path=LISTING, **fault)
    result = synced.result()
    course = synced.course(1002)
    assert result["status"] == "partial"
    assert result["errors"] == [{"course_id": course["id"], "canvas_course_id": "1002", "code": code}]
    assert result["assignments"]["updated"] == 1, "the others are up to date"
    assert result["assignments"]["removed"] == 0, "nothing counts as gone after half a list"
    assert synced.assignments(1002)[gone.id]["status"] != "removed"
    assert (course["is_active"], course["access_restricted"]) == (True, False)
    world.faults.clear()
    assert counts(synced.result()) == {**ZERO, "removed": 1}


def test_a_short_fault_is_not_worth_mentioning(synced: Connected) -> None:
    for kind, path in (("status", LISTING), ("drop", r"/1001/assignments"), ("html", r"/courses\?")):
        synced.canvas.world.add_fault(kind=kind, path=path, times=1)
    result = synced.result()
    assert result["status"] == "complete"
    assert result["requests"] == 1 + result["courses"]["seen"] + 3 + 1, "one more for each fault, and the announcements"


def test_throttle_refusals_are_counted_and_waited_out(synced: Connected) -> None:
    synced.canvas.world.add_fault(kind="throttle", path=LISTING, times=1)
    result = synced.result()
    assert (result["status"], result["throttled"]) == ("complete", 1)


def test_a_failing_second_look_removes_nothing(synced: Connected) -> None:
    world = synced.canvas.world
    gone = world.assignments_of(1002, 101)[0]
    world.change_assignment(gone.id, deleted=True)
    world.add_fault(kind="status", path="assignment_ids", status=500)
    result = synced.result()
    assert [error["code"] for error in result["errors"]] == ["canvas_unavailable"]
    assert synced.assignments(1002)[gone.id]["status"] != "removed"


def test_a_missing_course_that_cannot_be_looked_at_stays_as_it_is(synced: Connected) -> None:
    world = synced.canvas.world
    world.change_course(1002, workflow_state="deleted")
    world.add_fault(kind="status", path=r"/courses/1002", status=502)
    result = synced.result()
    assert [(e["canvas_course_id"], e["code"]) for e in result["errors"]] == [("1002", "canvas_unavailable")]
    assert synced.course(1002)["workflow_state"] == "available"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 503}, "canvas_unavailable"),
        ({"kind": "html"}, "canvas_bad_answer"),
        ({"kind": "link_loop"}, "pagination_refused"),
    ],
)
def test_without_a_list_of_courses_the_run_fails_and_changes_nothing(
    synced: Connected, db: Connection, fault: dict[str, Any], code: str
) -> None:
    before = versions(db, synced.person)
    synced.canvas.world.add_fault(path=r"/api/v1/courses\?", **fault)
    ended = synced.sync()
    assert ended.failure is not None
    assert ended.failure.code == code
    job = synced.person.rows("jobs", order="created_at.desc", limit="1")[0]
    status = "queued" if code == "canvas_unavailable" else "failed"
    assert (job["status"], job["error_code"]) == (status, code), "an outage is tried again later"
    assert versions(db, synced.person) == before
    assert synced.person.rows("integrations")[0]["status"] == "connected"


def test_a_token_that_dies_in_the_middle_is_refreshed_once(synced: Connected) -> None:
    world = synced.canvas.world
    world.add_fault(kind="token_dead", path=LISTING, times=1)
    result = synced.result()
    assert result["status"] == "complete"
    assert [entry["grant_type"] for entry in world.requests("/login/oauth2/token")] == ["refresh_token"]
    assert world.grants[-1].refreshed == 1
    synced.result()
    assert world.grants[-1].refreshed == 1, "the new token was stored"


def test_a_token_past_its_hour_is_refreshed_before_it_is_used(synced: Connected, db: Connection) -> None:
    db.execute(
        "update private.integration_tokens set expires_at = now() where integration_id = %s", (synced.integration_id,)
    )
    db.commit()
    synced.canvas.world.expire_tokens()
    assert synced.result()["status"] == "complete"
    assert [entry["status"] for entry in synced.canvas.world.requests("/courses")].count(401) == 0


def test_short_lived_tokens_are_not_refreshed_for_every_request(synced: Connected) -> None:
    world = synced.canvas.world
    world.switches.token_life_seconds = 30
    world.expire_tokens()
    assert synced.result()["status"] == "complete"
    assert world.grants[-1].refreshed == 1


def test_many_at_once_refresh_once(stack: Stack, synced: Connected) -> None:
    world = synced.canvas.world
    world.switches.latency_seconds = 0.05
    world.expire_tokens()
    database, settings = synced.runner.database, synced.runner.settings
    envelope = Envelope(settings.encryption_keys)
    service = database.service()
    connection = run(
        service.from_("integrations").select(f"c:lms_connections({CONNECTION_COLUMNS})").eq("id", synced.integration_id)
    )[0]["c"]

    def one(_: int) -> int:
        def call(name: str, args: dict[str, Any]) -> Any:
            return rpc(database.service(), name, args)

        factory = CanvasFactory(settings, synced.runner.http, envelope, SystemClock(), call)
        return sum(len(page.rows) for page in factory.canvas(connection, synced.integration_id).courses())

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(one, range(8)))
    assert len(set(seen)) == 1
    assert seen[0] > 0
    assert world.grants[-1].refreshed == 1


def test_a_refresher_that_was_killed_is_replaced(synced: Connected, db: Connection) -> None:
    db.execute(
        "update private.integration_tokens set refresh_holder = 'killed', refresh_until = now() + interval '0.2 s'"
        " where integration_id = %s",
        (synced.integration_id,),
    )
    db.commit()
    synced.canvas.world.expire_tokens()
    assert synced.result()["status"] == "complete"


@pytest.mark.parametrize("when", ["before", "middle"])
def test_a_dead_grant_expires_the_integration_and_tells_once(synced: Connected, when: str) -> None:
    world = synced.canvas.world
    if when == "before":
        world.revoke_grants()
    else:
        world.add_fault(kind="grant_dead", path=LISTING, times=1)
    ended = synced.sync()
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("reauthorization_required", False)
    job = synced.person.rows("jobs", order="created_at.desc", limit="1")[0]
    assert (job["status"], job["error_code"]) == ("failed", "reauthorization_required")
    assert synced.person.rows("integrations")[0]["status"] == "expired"
    told = synced.person.rows("notifications")
    assert [(row["type"], row["status"]) for row in told] == [("integration_error", "sent")]
    assert told[0]["payload"]["integration_id"] == synced.integration_id
    answer = synced.person.functions.post("/canvas-sync/runs", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "integration_not_connected")
    assert answer.json()["hint"]
    assert len(synced.person.rows("courses")) > 0, "courses stay"


def test_connecting_again_after_that_goes_on_with_the_same_rows(
    stack: Stack, synced: Connected, connection_id: str, db: Connection
) -> None:
    before = versions(db, synced.person)
    synced.canvas.world.revoke_grants()
    assert synced.sync().failure is not None
    done = connect(stack, synced.person, connection_id, "student1")
    assert done["integration"]["id"] == synced.integration_id
    ended = synced.runner.run(done["job_id"])
    assert ended.failure is None
    assert versions(db, synced.person) == before


def test_a_permission_that_is_too_narrow_asks_for_a_new_one(synced: Connected) -> None:
    synced.canvas.world.grants[-1].scopes = ["url:GET|/api/v1/users/:id"]
    ended = synced.sync()
    assert ended.failure is not None
    assert ended.failure.code == "reauthorization_required"
    assert synced.person.rows("integrations")[0]["status"] == "expired"


def test_disconnecting_while_a_run_waits_ends_it_quietly(synced: Connected) -> None:
    job_id = synced.start()
    gone = synced.person.functions.delete(f"/canvas-oauth/integrations/{synced.integration_id}")
    assert gone.status_code == 204
    ended = synced.runner.run(job_id)
    assert ended.failure is not None
    assert ended.failure.code == "integration_not_connected"
    assert synced.person.rows("notifications") == []


def test_a_throttled_refresh_disconnects_nobody(synced: Connected) -> None:
    world = synced.canvas.world
    world.expire_tokens()
    world.add_fault(kind="throttle", path="/login/oauth2/token", times=1)
    assert synced.result()["throttled"] == 1
    assert synced.person.rows("integrations")[0]["status"] == "connected"


def test_a_refresh_that_fails_for_now_disconnects_nobody(synced: Connected) -> None:
    world = synced.canvas.world
    world.expire_tokens()
    world.add_fault(kind="status", path="/login/oauth2/token", status=503)
    ended = synced.sync()
    assert ended.failure is not None
    assert ended.failure.code == "canvas_unavailable"
    assert synced.person.rows("integrations")[0]["status"] == "connected"
    assert synced.person.rows("notifications") == []


@pytest.mark.parametrize("requests_before", [1, 4])
def test_killed_in_the_middle_it_runs_again_without_double_rows(
    stack: Stack, ann: Connected, db: Connection, requests_before: int
) -> None:
    world = ann.canvas.world
    world.add_fault(kind="slow", path="/api/v1/courses", skip=requests_before, times=1, seconds=3)
    command = [sys.executable, "-m", "tests.support.canvas", ann.first_job, "2"]
    process = subprocess.Popen(command, env={**os.environ, **stack.service_environment()})
    try:
        wait_until(lambda: process.poll() is not None or len(world.requests("/api/v1/courses")) > requests_before)
        assert process.poll() is None, "ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    world.faults.clear()
    partly = len(versions(db, ann.person))
    service = ann.runner.database.service()

    def is_waiting_again() -> bool:
        # others may have left expired jobs as well, so a job that was reaped need not be this one
        rpc(service, "svc_reap_expired_jobs", {})
        return bool(run(service.from_("jobs").select("status").eq("id", ann.first_job).single())["status"] == "queued")

    wait_until(is_waiting_again)
    db.execute("update public.jobs set scheduled_at = now() where id = %s", (ann.first_job,))
    db.execute("update private.job_runtime set due_at = now(), rank = now() where job_id = %s", (ann.first_job,))
    db.commit()
    ended = ann.runner.run(ann.first_job)
    assert ended.failure is None
    assert ended.result is not None
    assert ended.result["status"] == "complete"
    everything = sum(1 + len(world.assignments_of(course.id, 101)) for course in world.courses_of(101))
    assert partly <= len(versions(db, ann.person)) == everything
    assert counts(ann.result()) == ZERO


def test_ids_of_other_people_in_a_payload_reach_nothing(stack: Stack, synced: Connected, db: Connection) -> None:
    other = str(uuid.uuid4())
    service = synced.runner.database.service()
    from functions.shared.jobs import enqueue

    job = enqueue(
        service, "canvas_sync", {"integration_ids": [other]}, user_id=synced.person.user_id, dedupe_key=f"t:{other}"
    )
    ended = synced.runner.run(job.job_id)
    assert ended.failure is not None
    assert ended.failure.code == "integration_not_connected"
