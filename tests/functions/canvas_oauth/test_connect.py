"""Connecting Canvas, as a front end does it, and everything that must not connect."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from functions.shared.canvas import oauth
from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn, approve
from tests.support.canvas import Runner, Student, come_back, connect, start, student

Connection = psycopg.Connection[Any]


def stored_nothing(db: Connection, person: Student) -> bool:
    """No integration, no token, no job of that person."""
    db.rollback()
    counts = db.execute(
        "select (select count(*) from public.integrations where user_id = %(u)s)"
        " + (select count(*) from public.jobs where user_id = %(u)s)",
        {"u": person.user_id},
    ).fetchone()
    return counts == (0,)


def test_the_whole_way(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection
) -> None:
    url = httpx.URL(start(person, connection_id))
    assert url.params["scope"].split() == list(oauth.SCOPES)
    assert url.params["redirect_uri"] == f"{stack.functions_url}/canvas-oauth/callback"
    fragment = come_back(stack, str(url), "student2")
    assert set(fragment) == {"state", "code"}
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert answer.status_code == 200, answer.text
    integration = answer.json()["integration"]
    assert integration == {
        "id": integration["id"],
        "status": "connected",
        "instance_domain": canvas.domain,
        "external_user_id": "102",
        "scopes": list(oauth.SCOPES),
    }
    assert [row["id"] for row in person.rows("integrations")] == [integration["id"]]
    job = person.rows("jobs", id=f"eq.{answer.json()['job_id']}")[0]
    assert (job["type"], job["status"]) == ("canvas_sync", "queued")
    sealed = db.execute(
        "select access_token_enc, refresh_token_enc from private.integration_tokens where integration_id = %s",
        (integration["id"],),
    ).fetchone()
    grant = canvas.world.grants[-1]
    assert sealed is not None
    assert all(text.startswith("v1:") for text in sealed)
    assert not any(secret in text for text in sealed for secret in (grant.access_token, grant.refresh_token))


def test_no_secret_reaches_a_log(stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student) -> None:
    fragment = come_back(stack, start(person, connection_id), "student3")
    assert person.functions.post("/canvas-oauth/complete", json=fragment).status_code == 200
    grant = canvas.world.grants[-1]
    logs = "".join(file.read_text(errors="replace") for file in Path(stack.log_dir).glob("*.log"))
    assert "canvas-oauth" in logs
    for secret in (*fragment.values(), grant.access_token, grant.refresh_token, canvas.world.client_secret):
        assert secret not in logs


def test_connecting_again_keeps_the_integration_and_replaces_the_tokens(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    first = connect(stack, person, connection_id)
    old = canvas.world.grants[-1]
    second = connect(stack, person, connection_id)
    job = db.execute(
        "select j.id::text from private.grant_revocations as r"
        " join public.jobs as j on j.dedupe_key = 'canvas_revoke:' || r.id where r.integration_id = %s",
        (first["integration"]["id"],),
    ).fetchone()
    assert job is not None
    runner.run(job[0])
    assert second["integration"]["id"] == first["integration"]["id"]
    assert second["job_id"] == first["job_id"], "the first sync still waits and is joined"
    assert old.revoked, "the grant that is no longer used is given back"
    assert not canvas.world.grants[-1].revoked
    assert len(person.rows("integrations")) == 1


@pytest.mark.parametrize("body", ["{}", '{"lms_connection_id":"x"}', '{"lms_connection_id":null}'])
def test_a_start_without_a_connection_is_refused(stack: Stack, person: Student, body: str) -> None:
    answer = person.functions.post("/canvas-oauth/start", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_an_unknown_key_is_refused(person: Student, connection_id: str) -> None:
    answer = person.functions.post("/canvas-oauth/start", json={"lms_connection_id": connection_id, "redirect": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_unknown_and_disabled_installations_look_the_same(stack: Stack, person: Student, connection_id: str) -> None:
    headers = {"Authorization": f"Bearer {stack.service_token}"}
    httpx.patch(
        f"{stack.rest_url}/lms_connections?id=eq.{connection_id}", json={"status": "disabled"}, headers=headers
    ).raise_for_status()
    for given in (connection_id, str(uuid.uuid4())):
        answer = person.functions.post("/canvas-oauth/start", json={"lms_connection_id": given})
        assert (answer.status_code, answer.json()["code"]) == (404, "lms_connection_not_found")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "https://127.0.0.1.evil.example/",
        "http://127.0.0.1:3000@evil.example/",
        "http://127.0.0.1:3000#x",
        "http://127.0.0.1:3000\\@evil.example",
        "//127.0.0.1:3000/",
        "javascript:alert(1)",
        "http://127.0.0.1:3000/a\nb",
    ],
)
def test_only_listed_front_ends_are_sent_to(person: Student, connection_id: str, target: str) -> None:
    answer = person.functions.post(
        "/canvas-oauth/start", json={"lms_connection_id": connection_id, "redirect_to": target}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "redirect_not_allowed")


@pytest.mark.parametrize("front_end", ["http://127.0.0.1:3000", "http://localhost:5173"])
def test_the_front_end_gets_the_code_behind_the_hash(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, front_end: str
) -> None:
    url = start(person, connection_id, redirect_to=f"{front_end}/settings?tab=canvas")
    answer = httpx.get(f"{stack.functions_url}/canvas-oauth/callback", params=approve(url, "student1"))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{front_end}/settings?tab=canvas#state=")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_a_denial_reaches_the_front_end(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection
) -> None:
    canvas.world.switches.approve = "deny"
    fragment = come_back(stack, start(person, connection_id))
    assert fragment["error"] == "access_denied"
    assert "code" not in fragment
    assert stored_nothing(db, person)


@pytest.mark.parametrize("query", [{}, {"state": "never-issued", "code": "x"}, {"state": "", "error": "access_denied"}])
def test_a_callback_nobody_waits_for_is_a_page(stack: Stack, query: dict[str, str]) -> None:
    answer = httpx.get(f"{stack.functions_url}/canvas-oauth/callback", params=query)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "location" not in answer.headers


def test_the_callback_uses_nothing_up_and_reflects_nothing(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    state = parse_qs(urlsplit(start(person, connection_id)).query)["state"][0]
    url = f"{stack.functions_url}/canvas-oauth/callback"
    hostile = httpx.get(url, params={"state": state, "error": "<script>\r\nX: y"})
    assert hostile.headers["location"].endswith("error=invalid_request")
    for _ in range(2):
        assert httpx.get(url, params={"state": state, "code": "c"}).status_code == 303


def test_a_strangers_state_lands_nowhere(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, stranger: Student, db: Connection
) -> None:
    fragment = come_back(stack, start(person, connection_id))
    answer = stranger.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (403, "state_not_yours")
    assert stored_nothing(db, stranger)
    assert not canvas.world.requests("/login/oauth2/token"), "the code was not even shown to Canvas"
    assert person.functions.post("/canvas-oauth/complete", json=fragment).status_code == 200, "the state still works"


def test_a_state_is_good_once(stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student) -> None:
    fragment = come_back(stack, start(person, connection_id))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: person.functions.post("/canvas-oauth/complete", json=fragment), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "state_used"}
    assert len(canvas.world.requests("/login/oauth2/token")) == 1
    late = httpx.get(f"{stack.functions_url}/canvas-oauth/callback", params=fragment)
    assert late.status_code == 410


def test_a_lost_answer_can_be_asked_for_again(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    fragment = come_back(stack, start(person, connection_id))
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = person.functions.post("/canvas-oauth/complete", json=fragment, headers=headers)
    again = person.functions.post("/canvas-oauth/complete", json=fragment, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())


def test_a_state_grows_old(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection
) -> None:
    fragment = come_back(stack, start(person, connection_id))
    db.execute("update private.oauth_states set expires_at = now() where user_id = %s", (person.user_id,))
    db.commit()
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (410, "state_expired")
    assert httpx.get(f"{stack.functions_url}/canvas-oauth/callback", params=fragment).status_code == 410
    assert stored_nothing(db, person)


def test_an_invented_state_is_unknown(person: Student) -> None:
    answer = person.functions.post("/canvas-oauth/complete", json={"state": "invented", "code": "c"})
    assert (answer.status_code, answer.json()["code"]) == (400, "state_unknown")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (None, 400, "canvas_grant_refused"),
        ({"kind": "status", "status": 503}, 503, "canvas_unavailable"),
        ({"kind": "drop"}, 503, "canvas_unavailable"),
        ({"kind": "html"}, 502, "canvas_bad_answer"),
        ({"kind": "truncated"}, 502, "canvas_bad_answer"),
        ({"kind": "null_token"}, 502, "canvas_bad_answer"),
        ({"kind": "redirect"}, 502, "canvas_bad_answer"),
    ],
)
def test_what_canvas_refuses_is_stored_nowhere(
    stack: Stack,
    canvas: CanvasStandIn,
    connection_id: str,
    person: Student,
    db: Connection,
    fault: dict[str, Any] | None,
    status: int,
    code: str,
) -> None:
    fragment = come_back(stack, start(person, connection_id))
    if fault is None:
        fragment["code"] = "forged"
    else:
        canvas.world.add_fault(path="/login/oauth2/token", **fault)
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert stored_nothing(db, person)


def test_a_wrong_client_secret_is_not_blamed_on_the_student(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection
) -> None:
    fragment = come_back(stack, start(person, connection_id))
    canvas.world.client_secret = "changed at Canvas"
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (502, "canvas_bad_answer")
    assert stored_nothing(db, person)


def test_one_canvas_person_belongs_to_one_account(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, stranger: Student, db: Connection
) -> None:
    connect(stack, person, connection_id, "student1")
    fragment = come_back(stack, start(stranger, connection_id), "student1")
    answer = stranger.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (409, "canvas_account_in_use")
    assert stored_nothing(db, stranger)
    assert canvas.world.grants[-1].revoked, "the grant nobody keeps is given back"
    assert not canvas.world.grants[-2].revoked, "the person's own grant stays"
    integration = person.rows("integrations")[0]["id"]
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration}").status_code == 204
    assert connect(stack, stranger, connection_id, "student1")["integration"]["external_user_id"] == "101"


def test_two_people_at_once_cannot_share_a_canvas_person(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, stranger: Student
) -> None:
    fragments = [
        (someone, come_back(stack, start(someone, connection_id), "student4")) for someone in (person, stranger)
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda given: given[0].functions.post("/canvas-oauth/complete", json=given[1]), fragments)
        )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


def test_two_tabs_of_one_person_make_one_integration(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    fragments = [come_back(stack, start(person, connection_id)) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda given: person.functions.post("/canvas-oauth/complete", json=given), fragments))
    assert [answer.status_code for answer in answers] == [200, 200, 200], [answer.text for answer in answers]
    assert len({answer.json()["integration"]["id"] for answer in answers}) == 1
    assert len({answer.json()["job_id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "call", [("POST", "/start"), ("POST", "/complete"), ("DELETE", f"/integrations/{uuid.uuid4()}")]
)
def test_nothing_happens_without_signing_in(stack: Stack, call: tuple[str, str]) -> None:
    for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"apikey": stack.keys.publishable_key}):
        answer = httpx.request(call[0], f"{stack.functions_url}/canvas-oauth{call[1]}", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_a_class_that_connects_together_is_told_when_to_come_back_and_then_gets_in(
    stack: Stack, canvas: CanvasStandIn, connection_id: str
) -> None:
    """Canvas throttles the exchange of codes by the address of our server, so a whole class meets its limit at once."""
    with ExitStack() as people:
        pupils = [people.enter_context(student(stack)) for _ in range(16)]
        fragments = [come_back(stack, start(pupil, connection_id), "student1") for pupil in pupils]
        canvas.world.add_fault(kind="throttle", path="/login/oauth2/token")

        def complete(number: int) -> httpx.Response:
            return pupils[number].functions.post("/canvas-oauth/complete", json=fragments[number])

        with ThreadPoolExecutor(17) as pool:
            began = time.monotonic()
            answers = [pool.submit(complete, number) for number in range(16)]
            alive = httpx.get(f"{stack.functions_url}/healthz", timeout=10)
            waited = time.monotonic() - began
            refused = [answer.result() for answer in answers]
        assert alive.status_code == 200
        assert waited < 8, "the functions answer others meanwhile"
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "canvas_unavailable")}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert len(canvas.world.requests("/login/oauth2/token")) == 16, "a code is sent once"
        canvas.world.faults.clear()
        again = complete(0)
        assert again.status_code == 200, "the state and the code are still good"
        assert complete(0).json()["code"] == "state_used"


def test_a_code_that_canvas_may_have_seen_is_not_sent_again(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    fragment = come_back(stack, start(person, connection_id), "student1")
    canvas.world.add_fault(kind="drop", path="/login/oauth2/token", times=1)
    assert person.functions.post("/canvas-oauth/complete", json=fragment).status_code == 503
    assert person.functions.post("/canvas-oauth/complete", json=fragment).json()["code"] == "state_used"


def test_a_canvas_that_says_nothing_holds_nobody_for_long(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    fragment = come_back(stack, start(person, connection_id), "student1")
    canvas.world.add_fault(kind="slow", path="/login/oauth2/token", seconds=30, times=1)
    began = time.monotonic()
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert (answer.status_code, answer.json()["code"]) == (503, "canvas_unavailable")
    assert time.monotonic() - began < 10
