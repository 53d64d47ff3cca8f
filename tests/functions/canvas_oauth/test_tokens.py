"""Connecting with a personal access token: who may, what Canvas must say of it, and where it never goes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Runner, Student, connect

Connection = psycopg.Connection[Any]


@pytest.fixture
def open_school(stack: Stack, canvas: CanvasStandIn, connection_id: str) -> str:
    """An installation that allows personal tokens; they have no scopes, so they may read everything."""
    canvas.world.switches.enforce_scopes = False
    change(stack, connection_id, settings={"allow_personal_tokens": True})
    return connection_id


def change(stack: Stack, connection_id: str, **columns: Any) -> None:
    """Changes the row of an installation as staff do."""
    headers = {"Authorization": f"Bearer {stack.service_token}"}
    url = f"{stack.rest_url}/lms_connections?id=eq.{connection_id}"
    httpx.patch(url, json=columns, headers=headers).raise_for_status()


def give(person: Student, connection_id: str, token: str, key: str | None = None) -> httpx.Response:
    """POSTs a token."""
    headers = {"Idempotency-Key": key} if key else {}
    body = {"lms_connection_id": connection_id, "token": token}
    return person.functions.post("/canvas-oauth/tokens", json=body, headers=headers)


def test_the_whole_way(
    stack: Stack, canvas: CanvasStandIn, open_school: str, person: Student, db: Connection, runner: Runner
) -> None:
    grant = canvas.world.new_grant(101, [])
    grant.expires_at = (datetime.now(UTC) + timedelta(days=30)).timestamp()
    key = uuid.uuid4().hex
    answer = give(person, open_school, f"  {grant.access_token}\n", key)
    assert answer.status_code == 200, answer.text
    integration = answer.json()["integration"]
    ends = datetime.fromisoformat(answer.json()["token_expires_at"])
    assert abs(ends.timestamp() - grant.expires_at) < 2
    assert integration == {
        "id": integration["id"],
        "status": "connected",
        "instance_domain": canvas.domain,
        "external_user_id": "101",
        "scopes": [],
    }
    assert give(person, open_school, f"  {grant.access_token}\n", key).json()["job_id"] == answer.json()["job_id"]
    row = person.rows("integrations")[0]
    assert row["metadata"]["is_personal_token"] is True
    assert datetime.fromisoformat(row["metadata"]["token_expires_at"]) == ends
    assert runner.run(answer.json()["job_id"]).failure is None
    assert person.rows("assignments"), "the sync works as with a grant"
    assert person.rows("profiles")[0]["timezone_source"] == "canvas"

    # nowhere but encrypted in its own row
    logs = "".join(file.read_text(errors="replace") for file in Path(stack.log_dir).glob("*.log"))
    kept = db.execute(
        "select (select string_agg(to_jsonb(k)::text, '') from private.idempotency_keys as k)"
        " || (select string_agg(to_jsonb(i)::text, '') from public.integrations as i)"
        " || (select string_agg(to_jsonb(t)::text, '') from private.integration_tokens as t)"
    ).fetchone()
    assert kept is not None
    assert grant.access_token not in logs
    assert grant.access_token not in kept[0]

    # it ends without a refresh, once, and with a way back
    canvas.world.expire_tokens()
    ended = runner.run(person.functions.post("/canvas-sync/runs", json={}).json()["job_id"])
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("reauthorization_required", False)
    assert canvas.world.requests("/login/oauth2/token") == []
    assert len(person.rows("notifications", type="eq.integration_error")) == 1
    newer = canvas.world.new_grant(101, [])
    again = give(person, open_school, newer.access_token)
    assert again.json()["integration"]["id"] == integration["id"]
    assert again.json()["integration"]["status"] == "connected"


def test_a_persons_own_token_is_never_revoked_and_a_grant_of_ours_is(
    stack: Stack, canvas: CanvasStandIn, open_school: str, person: Student, db: Connection
) -> None:
    waiting = "select count(*) from private.grant_revocations where integration_id = %s"
    integration_id = connect(stack, person, open_school, "student1")["integration"]["id"]
    token = canvas.world.new_grant(101, []).access_token
    for _ in range(2):  # the same token again must not be given back
        assert give(person, open_school, token).status_code == 200
        db.rollback()
        assert db.execute(waiting, (integration_id,)).fetchone() == (1,), "the grant that it replaced"
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    db.rollback()
    assert db.execute(waiting, (integration_id,)).fetchone() == (1,)
    left = db.execute("select count(*) from private.integration_tokens where integration_id = %s", (integration_id,))
    assert left.fetchone() == (0,)
    connect(stack, person, open_school, "student1")
    assert person.rows("integrations")[0]["metadata"] == {}, "a grant of ours is renewed by us"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "challenge"}, 400, "canvas_grant_refused"),
        ({"kind": "status", "status": 403}, 400, "canvas_grant_refused"),
        ({"kind": "status", "status": 503}, 503, "canvas_unavailable"),
        ({"kind": "html"}, 502, "canvas_bad_answer"),
    ],
)
def test_what_canvas_does_not_vouch_for_is_stored_nowhere(
    canvas: CanvasStandIn,
    open_school: str,
    person: Student,
    fault: dict[str, Any],
    status: int,
    code: str,
) -> None:
    token = canvas.world.new_grant(101, []).access_token
    canvas.world.add_fault(path=r"/users/self(\?|$)", **fault)
    answer = give(person, open_school, token)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert token not in answer.text
    assert person.rows("integrations") == []


def test_wrong_and_foreign_tokens_are_refused(
    canvas: CanvasStandIn, open_school: str, person: Student, stranger: Student
) -> None:
    for wrong in ("never-issued", "7~" + "x" * 60):
        answer = give(person, open_school, wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "canvas_grant_refused")
    for malformed in ("", "   ", "two words", "line\nbreak", "ümlaut", "x" * 1025):
        answer = give(person, open_school, malformed)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), malformed
    narrow = canvas.world.new_grant(101, ["url:GET|/api/v1/users/:id"]).access_token
    canvas.world.switches.enforce_scopes = True
    answer = give(person, open_school, narrow)
    assert (answer.status_code, answer.json()["code"]) == (400, "canvas_grant_refused")
    assert "may not read" in answer.json()["message"]
    canvas.world.switches.enforce_scopes = False
    assert give(stranger, open_school, canvas.world.new_grant(101, []).access_token).status_code == 200
    answer = give(person, open_school, canvas.world.new_grant(101, []).access_token)
    assert (answer.status_code, answer.json()["code"]) == (409, "canvas_account_in_use")
    answer = give(stranger, open_school, canvas.world.new_grant(102, []).access_token)
    assert (answer.status_code, answer.json()["code"]) == (409, "other_canvas_person")
    assert person.rows("integrations") == []


def test_only_where_the_school_allows_it(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    canvas.world.switches.enforce_scopes = False
    token = canvas.world.new_grant(101, []).access_token
    for settings in ({}, {"allow_personal_tokens": False}, {"allow_personal_tokens": "true"}):
        change(stack, connection_id, settings=settings)
        answer = give(person, connection_id, token)
        assert (answer.status_code, answer.json()["code"]) == (403, "personal_tokens_not_allowed")
    change(stack, connection_id, settings={"allow_personal_tokens": True}, oauth_client_id=None)
    change(stack, connection_id, status="disabled")
    for unknown in (connection_id, str(uuid.uuid4())):
        answer = give(person, unknown, token)
        assert (answer.status_code, answer.json()["code"]) == (404, "lms_connection_not_found")
    change(stack, connection_id, status="active")
    assert canvas.world.requests("/api/v1") == [], "Canvas was not asked"
    assert give(person, connection_id, token).status_code == 200, "no developer key is needed"
