"""Disconnecting always works, whatever Canvas says; and the secrets of installations."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import psycopg
import pytest

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Student, connect

Connection = psycopg.Connection[Any]


def tokens_of(db: Connection, integration_id: str) -> int:
    """How many token rows there are."""
    db.rollback()
    row = db.execute(
        "select count(*) from private.integration_tokens where integration_id = %s", (integration_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_disconnecting_revokes_at_canvas_and_forgets(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    assert tokens_of(db, integration_id) == 1
    for _ in range(2):  # safe to repeat
        assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    assert canvas.world.grants[-1].revoked
    assert tokens_of(db, integration_id) == 0
    assert person.rows("integrations")[0]["status"] == "revoked"


def test_a_grant_past_its_hour_is_revoked_too(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    canvas.world.expire_tokens()
    canvas.world.add_fault(kind="challenge", path="/login/oauth2/token", method="DELETE", times=1)
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    assert canvas.world.grants[-1].revoked


@pytest.mark.parametrize("fault", ["status", "html", "drop", "challenge"])
def test_a_canvas_in_trouble_does_not_keep_anybody(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, fault: str
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    canvas.world.add_fault(kind=fault, path="/login", method="DELETE")
    canvas.world.revoke_grants()
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    assert tokens_of(db, integration_id) == 0


def test_a_canvas_that_is_gone_does_not_keep_anybody(stack: Stack, person: Student, db: Connection) -> None:
    with CanvasStandIn() as canvas:
        connection_id = canvas.register(stack.rest_url, stack.service_token, stack.functions_url)
        integration_id = connect(stack, person, connection_id)["integration"]["id"]
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    assert tokens_of(db, integration_id) == 0


def test_other_peoples_integrations_do_not_exist(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, stranger: Student, db: Connection
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    for given in (integration_id, str(uuid.uuid4())):
        answer = stranger.functions.delete(f"/canvas-oauth/integrations/{given}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert stranger.functions.delete("/canvas-oauth/integrations/7").status_code == 404
    assert tokens_of(db, integration_id) == 1


def test_secrets_enter_by_administration_only_and_never_leave(
    stack: Stack, connection_id: str, person: Student, db: Connection
) -> None:
    url = f"{stack.functions_url}/canvas-oauth/connections/{connection_id}/secret"
    body = {"client_secret": "a-new-secret"}
    assert person.functions.put(url, json=body).status_code == 403
    assert httpx.put(url, json=body).status_code == 401
    assert httpx.put(url, json=body, headers={"apikey": stack.keys.publishable_key}).status_code == 401
    secret_key = {"apikey": stack.keys.secret_key}
    assert httpx.put(url, json=body, headers=secret_key).status_code == 204
    assert httpx.put(url, json={"client_secret": ""}, headers=secret_key).status_code == 422
    unknown = url.replace(connection_id, str(uuid.uuid4()))
    answer = httpx.put(unknown, json=body, headers=secret_key)
    assert (answer.status_code, answer.json()["code"]) == (404, "lms_connection_not_found")
    sealed = db.execute(
        "select oauth_client_secret_enc from private.lms_connection_secrets where lms_connection_id = %s",
        (connection_id,),
    ).fetchone()
    assert sealed is not None
    assert "a-new-secret" not in sealed[0]
