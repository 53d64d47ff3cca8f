"""The job queue's RPCs as Python functions, for tests that speak to the database directly (role ``postgres``)."""

from __future__ import annotations

import json
import uuid
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

Connection = psycopg.Connection[Any]
TYPE = "week_notes"


class Enqueued(NamedTuple):
    """What ``svc_enqueue_job`` answers."""

    job_id: uuid.UUID
    created: bool


def rows(db: Connection, statement: str, parameters: Any = None) -> list[dict[str, Any]]:
    """The rows of a statement as dictionaries."""
    with db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), parameters).fetchall()


def one(db: Connection, statement: str, parameters: Any = None) -> Any:
    """The first column of the first row."""
    row = db.execute(statement.encode(), parameters).fetchone()
    assert row is not None, "no row"
    return row[0]


def enqueue(db: Connection, type: str = TYPE, **arguments: Any) -> Enqueued:
    """``svc_enqueue_job`` with ``arguments`` without their ``p_``."""
    given = {"type": type, **arguments}
    named = ", ".join(f"p_{name} => %({name})s" for name in given)
    if isinstance(given.get("payload"), dict):
        given["payload"] = json.dumps(given["payload"])
    [row] = rows(db, f"select * from public.svc_enqueue_job({named})", given)
    return Enqueued(**row)


def claim(
    db: Connection,
    limit: int | None = 10,
    *,
    types: tuple[str, ...] = (TYPE,),
    worker: str = "test",
    lease_s: int | None = 60,
    claim_id: uuid.UUID | None = None,
) -> list[dict[str, Any]]:
    """``svc_claim_jobs``."""
    return rows(
        db,
        "select * from public.svc_claim_jobs(%s, %s, %s, %s, %s)",
        (worker, list(types), limit, lease_s, claim_id or uuid.uuid4()),
    )


def said(*jobs: dict[str, Any], **more: Any) -> str:
    """Claimed jobs as heartbeats, completions and releases name them."""
    return json.dumps([{"job_id": str(j["job_id"]), "lease_token": str(j["lease_token"]), **more} for j in jobs])


def complete(db: Connection, *jobs: dict[str, Any], **more: Any) -> list[bool]:
    """``svc_complete_jobs``; for each job whether it is done."""
    answers = rows(db, "select * from public.svc_complete_jobs(%s)", (said(*jobs, **more),))
    done = {row["job_id"]: row["done"] for row in answers}
    return [done[job["job_id"]] for job in jobs]


def heartbeat(db: Connection, *jobs: dict[str, Any], **more: Any) -> list[str]:
    """``svc_heartbeat_jobs``; the state of each job."""
    answers = rows(db, "select * from public.svc_heartbeat_jobs(%s, 60)", (said(*jobs, **more),))
    states = {row["job_id"]: row["state"] for row in answers}
    return [states[job["job_id"]] for job in jobs]


def fail(db: Connection, job: dict[str, Any], *, code: str = "broken", **arguments: Any) -> dict[str, Any] | None:
    """``svc_fail_job``; None when the lease was lost."""
    given = {
        "job_id": job["job_id"],
        "lease_token": job["lease_token"],
        "error_code": code,
        "error_message": "It broke.",
        **arguments,
    }
    named = ", ".join(f"p_{name} => %({name})s" for name in given)
    answer = rows(db, f"select * from public.svc_fail_job({named})", given)
    return answer[0] if answer else None


def release(db: Connection, *jobs: dict[str, Any]) -> int:
    """``svc_release_jobs``; how many."""
    return int(one(db, "select public.svc_release_jobs(%s)", (said(*jobs),)))


def reap(db: Connection, limit: int | None = 100) -> int:
    """``svc_reap_expired_jobs``; how many leases had run out."""
    return int(one(db, "select public.svc_reap_expired_jobs(%s)", (limit,)))


def job(db: Connection, job_id: uuid.UUID) -> dict[str, Any]:
    """The row of ``public.jobs``."""
    [row] = rows(db, "select * from public.jobs where id = %s", (job_id,))
    return row


def state(db: Connection, job_id: uuid.UUID) -> str:
    """Where a job stands in the queue: later, waiting, ready, running or over."""
    return str(one(db, "select state from private.job_runtime where job_id = %s", (job_id,)))


def run_out(db: Connection, *jobs: dict[str, Any]) -> None:
    """Ends the leases of claimed jobs a second ago."""
    ids = [job["job_id"] for job in jobs]
    db.execute(
        "update private.job_runtime set locked_until = private.clock() - interval '1 second' where job_id = any (%s)",
        (ids,),
    )
