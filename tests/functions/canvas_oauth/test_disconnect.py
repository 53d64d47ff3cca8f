"""Disconnecting always works, whatever Canvas says; and the secrets of installations."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Runner, Student, connect

Connection = psycopg.Connection[Any]


def tokens_of(db: Connection, integration_id: str) -> int:
    """How many token rows there are."""
    db.rollback()
    row = db.execute(
        "select count(*) from private.integration_tokens where integration_id = %s", (integration_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def revocations(db: Connection, integration_id: str) -> list[str]:
    """The jobs that will revoke grants of an integration, oldest first."""
    db.rollback()
    rows = db.execute(
        "select j.id::text from private.grant_revocations as r"
        " join public.jobs as j on j.dedupe_key = 'canvas_revoke:' || r.id"
        " where r.integration_id = %s order by r.created_at",
        (integration_id,),
    )
    return [row[0] for row in rows]


def disconnect(person: Student, integration_id: str) -> float:
    """Disconnects; the seconds it took."""
    began = time.monotonic()
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    return time.monotonic() - began


def test_disconnecting_forgets_at_once_and_revokes_at_canvas(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    assert tokens_of(db, integration_id) == 1
    for _ in range(2):  # safe to repeat
        disconnect(person, integration_id)
    assert tokens_of(db, integration_id) == 0
    assert person.rows("integrations")[0]["status"] == "revoked"
    (job_id,) = revocations(db, integration_id)
    assert runner.run(job_id).result == {"revoked": True}
    assert canvas.world.grants[-1].revoked
    assert revocations(db, integration_id) == [], "the tokens are gone here, too"


def test_a_grant_past_its_hour_is_revoked_too(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    canvas.world.expire_tokens()
    canvas.world.add_fault(kind="challenge", path="/login/oauth2/token", method="DELETE", times=1)
    disconnect(person, integration_id)
    assert runner.run(revocations(db, integration_id)[0]).result == {"revoked": True}
    assert canvas.world.grants[-1].revoked


@pytest.mark.parametrize("fault", ["slow", "status", "throttle"])
def test_an_outage_keeps_nobody_and_the_grant_ends_later(
    stack: Stack,
    canvas: CanvasStandIn,
    connection_id: str,
    person: Student,
    db: Connection,
    runner: Runner,
    fault: str,
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    canvas.world.add_fault(kind=fault, path="/login", seconds=30, status=503)
    assert disconnect(person, integration_id) < 5
    assert tokens_of(db, integration_id) == 0
    if fault == "slow":
        return
    (job_id,) = revocations(db, integration_id)
    failure = runner.run(job_id).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("canvas_unavailable", True)
    assert not canvas.world.grants[-1].revoked
    canvas.world.faults.clear()
    db.execute("update public.jobs set scheduled_at = now() where id = %s", (job_id,))
    db.execute("update private.job_runtime set due_at = now() where job_id = %s", (job_id,))
    db.commit()
    assert runner.run(job_id).result == {"revoked": True}
    assert canvas.world.grants[-1].revoked


def test_a_grant_that_has_ended_at_canvas_is_forgotten_quietly(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    canvas.world.revoke_grants()
    disconnect(person, integration_id)
    assert runner.run(revocations(db, integration_id)[0]).failure is None
    assert revocations(db, integration_id) == []


def test_an_envelope_without_its_key_keeps_nobody(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    db.execute(
        "update private.integration_tokens set access_token_enc = 'v9:AAAA' where integration_id = %s",
        (integration_id,),
    )
    db.commit()
    disconnect(person, integration_id)
    assert runner.run(revocations(db, integration_id)[0]).result == {"revoked": False}
    assert revocations(db, integration_id) == []


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
