"""Secrets that no key opens any more: everything that needs them ends, and says who can give a new one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from functions.lti.keys import SigningKey
from functions.shared.crypto import DecryptionFailed, Envelope
from scripts.native.stack import Stack
from tests.standins.canvas import CanvasStandIn
from tests.support.canvas import Runner, Student, connect

Connection = psycopg.Connection[Any]
LOST = "v9:AAAA"


def spoil_tokens(db: Connection, integration_id: str, column: str = "access_token_enc") -> None:
    """Stores an envelope of a key that is no longer listed."""
    db.execute(
        f"update private.integration_tokens set {column} = %s where integration_id = %s".encode(),
        (LOST, integration_id),
    )
    db.commit()


def spoil_secret(db: Connection, connection_id: str) -> None:
    """The same with the school's part."""
    db.execute(
        "update private.lms_connection_secrets set oauth_client_secret_enc = %s where lms_connection_id = %s",
        (LOST, connection_id),
    )
    db.commit()


@pytest.mark.parametrize("column", ["access_token_enc", "refresh_token_enc"])
def test_tokens_without_a_key_expire_the_integration_once_and_connecting_again_mends_it(
    stack: Stack,
    canvas: CanvasStandIn,
    connection_id: str,
    person: Student,
    db: Connection,
    runner: Runner,
    column: str,
) -> None:
    done = connect(stack, person, connection_id)
    spoil_tokens(db, done["integration"]["id"], column)
    ended = runner.run(done["job_id"])
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("reauthorization_required", False)
    assert person.rows("integrations")[0]["status"] == "expired"
    assert [row["type"] for row in person.rows("notifications")] == ["integration_error"]
    assert person.functions.post("/canvas-sync/runs", json={}).status_code == 409
    again = connect(stack, person, connection_id)
    assert again["integration"]["id"] == done["integration"]["id"]
    assert runner.run(again["job_id"]).failure is None
    assert len(person.rows("notifications", type="eq.integration_error")) == 1


def test_a_schools_secret_without_a_key_is_told_and_expires_nobody(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    done = connect(stack, person, connection_id)
    spoil_secret(db, connection_id)
    answer = person.functions.post("/canvas-oauth/start", json={"lms_connection_id": connection_id})
    assert (answer.status_code, answer.json()["code"]) == (503, "lms_secret_unreadable")
    assert int(answer.headers["retry-after"]) >= 600
    assert runner.run(done["job_id"]).failure is None, "a token that lives needs no developer key"
    canvas.world.expire_tokens()
    db.execute("update private.integration_tokens set expires_at = now() - interval '1 minute'")
    db.commit()
    job = person.functions.post("/canvas-sync/runs", json={}).json()["job_id"]
    ended = runner.run(job)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("lms_secret_unreadable", False)
    assert person.rows("integrations")[0]["status"] == "connected", "the person cannot mend it"
    assert person.rows("notifications", type="eq.integration_error") == []


def test_a_grant_is_given_back_without_the_schools_secret(
    stack: Stack, canvas: CanvasStandIn, connection_id: str, person: Student, db: Connection, runner: Runner
) -> None:
    integration_id = connect(stack, person, connection_id)["integration"]["id"]
    spoil_secret(db, connection_id)
    assert person.functions.delete(f"/canvas-oauth/integrations/{integration_id}").status_code == 204
    job = db.execute(
        "select j.id::text from private.grant_revocations as r"
        " join public.jobs as j on j.dedupe_key = 'canvas_revoke:' || r.id where r.integration_id = %s",
        (integration_id,),
    ).fetchone()
    assert job is not None
    assert runner.run(job[0]).result == {"revoked": True}
    assert canvas.world.grants[-1].revoked


def test_any_other_secret_ends_a_request_in_503_and_a_job_for_good() -> None:
    key = SigningKey("kid", LOST, {}, True, datetime.now(UTC))
    with pytest.raises(DecryptionFailed) as caught:
        key.sign({}, Envelope({1: b"k" * 32}))
    error = caught.value
    assert (error.status, error.code, error.is_lasting) == (503, "secret_unreadable", True)
    assert int(error.headers()["Retry-After"]) >= 600
