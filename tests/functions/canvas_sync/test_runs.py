"""Starting and looking at runs over HTTP."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from functions.shared.clock import SystemClock
from functions.shared.jobs import JobCancelled
from scripts.native.stack import Stack
from tests.functions.canvas_sync.conftest import Connected
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Student, connect, registered


def test_a_live_run_is_joined(synced: Connected) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: synced.person.functions.post("/canvas-sync/runs", json={}), range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert sorted(answer.json()["deduplicated"] for answer in answers) == [False] + [True] * 5
    named = synced.person.functions.post("/canvas-sync/runs", json={"integration_id": synced.integration_id})
    assert named.json() == {"job_id": answers[0].json()["job_id"], "deduplicated": True}
    course = synced.course(1001)["id"]
    part = synced.person.functions.post("/canvas-sync/runs", json={"course_ids": [course]})
    assert part.json() == named.json(), "the whole covers the part"
    synced.runner.run(answers[0].json()["job_id"])
    assert synced.person.functions.post("/canvas-sync/runs", json={}).json()["deduplicated"] is False


def test_a_run_of_some_courses_does_not_stand_for_all(synced: Connected) -> None:
    courses = [synced.course(1001)["id"], synced.course(1002)["id"]]
    part = synced.person.functions.post("/canvas-sync/runs", json={"course_ids": courses}).json()
    again = synced.person.functions.post("/canvas-sync/runs", json={"course_ids": courses[::-1]}).json()
    assert again == {"job_id": part["job_id"], "deduplicated": True}
    whole = synced.person.functions.post("/canvas-sync/runs", json={}).json()
    assert whole["deduplicated"] is False


def test_the_first_sync_after_connecting_is_joined_too(ann: Connected) -> None:
    assert ann.person.functions.post("/canvas-sync/runs", json={}).json() == {
        "job_id": ann.first_job,
        "deduplicated": True,
    }


def test_waiting_brings_the_result(synced: Connected) -> None:
    job_id = synced.start()
    worker = threading.Timer(0.3, synced.runner.run, (job_id,))
    worker.start()
    answer = synced.person.functions.post("/canvas-sync/runs?wait=20", json={})
    worker.join()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["job_id"], body["status"], body["deduplicated"]) == (job_id, "succeeded", True)
    assert body["result"]["status"] == "complete"
    assert body["progress"]["courses_done"] == body["progress"]["courses_total"] > 0


def test_waiting_in_vain_answers_202(synced: Connected) -> None:
    answer = synced.person.functions.post("/canvas-sync/runs?wait=0.3", json={})
    assert answer.status_code == 202
    assert set(answer.json()) == {"job_id", "deduplicated"}


@pytest.mark.parametrize("wait", ["-1", "31", "soon", "nan"])
def test_waiting_has_bounds(synced: Connected, wait: str) -> None:
    answer = synced.person.functions.post(f"/canvas-sync/runs?wait={wait}", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_a_run_before_its_worker_comes(synced: Connected) -> None:
    job_id = synced.start()
    looked = synced.person.functions.get(f"/canvas-sync/runs/{job_id}")
    assert looked.status_code == 200
    assert looked.json() == {
        "job_id": job_id,
        "status": "queued",
        "progress": {"courses_done": 0, "courses_total": 0},
        "result": None,
        "error_code": None,
        "error_message": None,
    }


def test_the_same_idempotency_key_starts_once(synced: Connected) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = synced.person.functions.post("/canvas-sync/runs", json={}, headers=headers)
    synced.runner.run(first.json()["job_id"])
    again = synced.person.functions.post("/canvas-sync/runs", json={}, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    other = synced.person.functions.post(
        "/canvas-sync/runs", json={"integration_id": synced.integration_id}, headers=headers
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_other_peoples_things_do_not_exist(
    stack: Stack, synced: Connected, connection_id: str, stranger: Student
) -> None:
    job_id = synced.start()
    course = synced.course(1001)["id"]
    connect(stack, stranger, connection_id, "student2")
    for given in (job_id, str(uuid.uuid4())):
        looked = stranger.functions.get(f"/canvas-sync/runs/{given}")
        assert (looked.status_code, looked.json()["code"]) == (404, "not_found")
    for body in (
        {"integration_id": synced.integration_id},
        {"integration_id": str(uuid.uuid4())},
        {"course_ids": [course]},
        {"course_ids": [str(uuid.uuid4())]},
    ):
        answer = stranger.functions.post("/canvas-sync/runs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), body


def test_without_a_connection_there_is_nothing_to_run(stranger: Student) -> None:
    answer = stranger.functions.post("/canvas-sync/runs", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "integration_not_connected")
    assert "canvas-oauth/start" in answer.json()["hint"]


def test_a_switched_off_installation_runs_nothing(stack: Stack, synced: Connected, connection_id: str) -> None:
    job_id = synced.start()
    httpx.patch(
        f"{stack.rest_url}/lms_connections?id=eq.{connection_id}",
        json={"status": "disabled"},
        headers={"Authorization": f"Bearer {stack.service_token}"},
    ).raise_for_status()
    ended = synced.runner.run(job_id)
    assert ended.failure is not None
    assert ended.failure.code == "lms_connection_not_found"
    assert not synced.canvas.world.requests()
    assert synced.person.functions.post("/canvas-sync/runs", json={}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [{"course_ids": []}, {"course_ids": ["7"]}, {"integration_id": 7}, {"courses": []}, {"course_ids": None, "x": 1}],
)
def test_bad_bodies_are_refused(synced: Connected, body: dict[str, object]) -> None:
    answer = synced.person.functions.post("/canvas-sync/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_two_installations_sync_in_one_run(stack: Stack, synced: Connected) -> None:
    with CanvasStandIn(seed=2) as other:
        connect_to = registered(stack, other)
        done = connect(stack, synced.person, connect_to, "student1")
        synced.runner.run(done["job_id"])
        result = synced.result()
        total = len(synced.canvas.world.courses_of(101)) + len(other.world.courses_of(101))
        assert (result["status"], result["courses"]["unchanged"]) == ("complete", total)
        other.world.revoke_grants()
        result = synced.result()
        assert result["status"] == "partial"
        assert result["errors"] == [{"course_id": None, "canvas_course_id": None, "code": "reauthorization_required"}]
        states = {row["id"]: row["status"] for row in synced.person.rows("integrations")}
        assert states == {synced.integration_id: "connected", done["integration"]["id"]: "expired"}


def test_runs_want_somebody_signed_in(stack: Stack) -> None:
    for call in (("POST", "/runs"), ("GET", f"/runs/{uuid.uuid4()}")):
        answer = httpx.request(call[0], f"{stack.functions_url}/canvas-sync{call[1]}", json={})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_a_live_sync_is_joined_whatever_the_set_it_was_asked_in(stack: Stack, synced: Connected) -> None:
    with CanvasStandIn(seed=5) as second:
        other = connect(stack, synced.person, registered(stack, second))["integration"]["id"]
        whole = synced.person.functions.post("/canvas-sync/runs", json={}).json()
        # the first sync of the new integration waits since it was connected, so only the other one is new
        row = synced.person.rows("jobs", id=f"eq.{whole['job_id']}")[0]
        assert (whole["deduplicated"], row["status"]) == (False, "queued")
        for integration_id in (synced.integration_id, other):
            one = synced.person.functions.post("/canvas-sync/runs", json={"integration_id": integration_id}).json()
            assert one["deduplicated"] is True
        assert synced.person.functions.post("/canvas-sync/runs", json={}).json()["deduplicated"] is True
        live = synced.person.rows("jobs", type="eq.canvas_sync", status="eq.queued")
        assert len(live) == 2, "each integration is synced once"


def test_a_cancelled_run_does_not_wait_for_the_throttle(synced: Connected) -> None:
    synced.canvas.world.add_fault(kind="throttle", path="/courses")
    job = synced.runner.claim(synced.start())
    began = time.monotonic()
    asked = iter([False, False, True])

    def check() -> None:
        if next(asked, True):
            raise JobCancelled

    with pytest.raises(JobCancelled):
        synced.runner.handle(job, clock=SystemClock(), on_check=check)
    assert time.monotonic() - began < 3
