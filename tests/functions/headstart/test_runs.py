"""The calls of headstart runs: starting, reading, cancelling."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functions.headstart.conftest import Desk
from tests.support.canvas import Student
from tests.support.headstart import start


def test_a_run_is_started_and_joined(desk: Desk) -> None:
    first, second = start(desk.person, desk.assignment_id), start(desk.person, desk.assignment_id)
    assert (first["status"], first["deduplicated"], second["deduplicated"]) == ("queued", False, True)
    assert {**first, "deduplicated": True} == second
    (job,) = desk.person.rows("jobs", id=f"eq.{first['job_id']}")
    assert (job["type"], job["status"]) == ("headstart", "queued")


def test_requests_at_the_same_moment_start_one_run(desk: Desk) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: start(desk.person, desk.assignment_id), range(6)))
    assert len({one["run_id"] for one in answers}) == len({one["job_id"] for one in answers}) == 1
    assert sorted(one["deduplicated"] for one in answers) == [False, True, True, True, True, True]


def test_a_repeated_key_gives_the_same_answer_and_no_second_run(desk: Desk) -> None:
    headers = {"Idempotency-Key": f"key-{uuid.uuid4()}"}
    body = {"assignment_id": desk.assignment_id}
    first = desk.person.functions.post("/headstart/runs", json=body, headers=headers)
    assert desk.handle(first.json()["run_id"]) == "succeeded"
    again = desk.person.functions.post("/headstart/runs", json=body, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(desk.person.rows("headstart_runs")) == 1


def test_an_assignment_of_somebody_else_does_not_exist(desk: Desk, stranger: Student) -> None:
    for assignment_id in (desk.assignment_id, str(uuid.uuid4())):
        answer = stranger.functions.post("/headstart/runs", json={"assignment_id": assignment_id})
        assert (answer.status_code, answer.json()["code"]) == (404, "assignment_not_found")
    assert desk.sql("select count(*) from public.headstart_runs where user_id = %s", stranger.user_id) == [(0,)]


def test_a_removed_assignment_is_refused(desk: Desk) -> None:
    desk.sql("update public.assignments set status = 'removed' where id = %s", desk.assignment_id)
    answer = desk.person.functions.post("/headstart/runs", json={"assignment_id": desk.assignment_id})
    assert (answer.status_code, answer.json()["code"]) == (409, "assignment_removed")


@pytest.mark.parametrize("body", [{}, {"assignment_id": "x"}, {"assignment_id": None}, {"assignment": 1}])
def test_a_wrong_body_is_refused(person: Student, body: dict[str, object]) -> None:
    answer = person.functions.post("/headstart/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_an_unknown_key_is_refused(desk: Desk) -> None:
    body = {"assignment_id": desk.assignment_id, "model": "mine"}
    assert desk.person.functions.post("/headstart/runs", json=body).status_code == 422


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel")])
def test_runs_of_others_do_not_exist(desk: Desk, stranger: Student, method: str, path: str) -> None:
    run_id = desk.start()
    for wanted in (run_id, str(uuid.uuid4())):
        answer = stranger.functions.request(method, f"/headstart/runs/{wanted}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert desk.run(run_id)["status"] == "queued"


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", "/x"), ("GET", "/x/events"), ("POST", "/x/cancel")])
def test_nobody_comes_without_a_token(desk: Desk, method: str, path: str) -> None:
    path = path.replace("x", desk.assignment_id, 1)
    answer = desk.person.functions.request(method, f"/headstart/runs{path}", headers={"Authorization": ""})
    assert answer.status_code == 401


def test_a_waiting_run_is_cancelled_with_its_job_and_once(desk: Desk) -> None:
    started = start(desk.person, desk.assignment_id)
    run_id = started["run_id"]
    answer = desk.person.functions.post(f"/headstart/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()) == (202, {"run_id": run_id, "status": "cancelled"})
    again = desk.person.functions.post(f"/headstart/runs/{run_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "run_finished")
    assert desk.person.rows("jobs", id=f"eq.{started['job_id']}")[0]["status"] == "cancelled"
    assert desk.run(run_id)["metrics"]["attempts"] == 0
    assert [event["type"] for event in desk.events(run_id)] == ["abort"]
    assert desk.notifications() == []
    assert desk.handle(run_id) == "cancelled"
    assert desk.model.requests == []
    assert start(desk.person, desk.assignment_id)["deduplicated"] is False


@pytest.mark.parametrize("state", ["queued", "running"])
def test_cancelling_the_job_cancels_its_run(desk: Desk, state: str) -> None:
    started = start(desk.person, desk.assignment_id)
    run_id, job_id = started["run_id"], started["job_id"]
    if state == "running":
        desk.sql("select public.svc_begin_headstart_run(%s, 'm', 'v', 'h')", run_id)
    answer = desk.person.rest.post("/rpc/cancel_job", json={"p_id": job_id})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "cancelled"
    assert desk.run(run_id)["status"] == "cancelled"
    assert [event["type"] for event in desk.events(run_id)][-1] == "abort"
    assert desk.notifications() == []
    assert desk.handle(run_id) == "cancelled"
    assert desk.model.requests == []
    assert desk.person.rest.post("/rpc/cancel_job", json={"p_id": job_id}).status_code == 409


def test_a_finished_run_cannot_be_cancelled(desk: Desk) -> None:
    run_id, _ = desk.write("normal")
    answer = desk.person.functions.post(f"/headstart/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_finished")
    assert desk.run(run_id)["status"] == "succeeded"
