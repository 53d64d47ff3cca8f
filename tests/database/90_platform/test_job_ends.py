"""How attempts end: completed, failed, released, reaped."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.people import become, freeze, persona, refused
from tests.support.queue import (
    claim,
    complete,
    enqueue,
    fail,
    heartbeat,
    job,
    one,
    reap,
    release,
    rows,
    run_out,
    said,
    state,
)

Connection = psycopg.Connection[Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(db: Connection) -> None:
    """Time stands still, and no other test's job is in the way."""
    freeze(db, NOON.isoformat())
    db.execute("delete from public.jobs")


def test_a_completion_stores_the_result_and_may_be_said_twice(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db)
    assert complete(db, claimed, result={"n": 1}) == [True]
    row = job(db, made.job_id)
    assert (row["status"], row["result"], row["completed_at"]) == ("succeeded", {"n": 1}, NOON)
    assert complete(db, claimed, result={"n": 2}) == [True]
    assert job(db, made.job_id)["result"] == {"n": 1}


def test_no_result_is_null(db: Connection) -> None:
    made = enqueue(db)
    complete(db, *claim(db), result=None)
    assert one(db, "select result is null from public.jobs where id = %s", (made.job_id,))


def test_only_the_lease_ends_a_job(db: Connection) -> None:
    made = enqueue(db)
    [first] = claim(db)
    run_out(db, first)
    [second] = claim(db)
    assert complete(db, first, result={"from": "first"}) == [False]
    assert fail(db, first) is None
    assert release(db, first) == 0
    assert heartbeat(db, first, progress={"from": "first"}) == ["lost"]
    row = job(db, made.job_id)
    assert (row["status"], row["progress"], row["result"]) == ("running", {}, None)
    assert complete(db, second) == [True]
    # nor afterwards, although both attempts began at one moment of a clock that stands still
    assert complete(db, first) == [False]
    assert complete(db, second) == [True]
    nobody = {"job_id": uuid.uuid4(), "lease_token": uuid.uuid4()}
    assert complete(db, nobody) == [False]


def test_a_late_completion_counts_while_nobody_took_over(db: Connection) -> None:
    enqueue(db)
    [claimed] = claim(db)
    run_out(db, claimed)
    assert complete(db, claimed) == [True]


def test_a_job_handed_in_under_two_leases_counts_for_the_right_one(db: Connection) -> None:
    for order in (1, -1):
        made = enqueue(db)
        [right] = claim(db)
        wrong = {**right, "lease_token": uuid.uuid4()}
        both = json.loads(said(right, result="right")) + json.loads(said(wrong, result="wrong"))
        answers = rows(db, "select * from public.svc_complete_jobs(%s)", (json.dumps(both[::order]),))
        assert sorted(row["done"] for row in answers) == [False, True]
        assert job(db, made.job_id)["result"] == "right"


def test_a_job_that_succeeded_gives_up_its_input(db: Connection) -> None:
    made = enqueue(db, payload={"week": "w"})
    complete(db, *claim(db))
    assert one(db, "select payload from private.job_runtime where job_id = %s", (made.job_id,)) == {}


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_back_off_is_half_fixed_half_random_and_doubles(db: Connection, jitter: float) -> None:
    db.execute("select set_config('app.frozen_jitter', %s, true)", (str(jitter),))
    made = enqueue(db, max_retries=10)
    now = NOON
    for full in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        [claimed] = claim(db)
        answer = fail(db, claimed)
        assert answer is not None
        assert answer["status"] == "queued"
        waits = (answer["scheduled_at"] - now).total_seconds()
        assert waits == pytest.approx(full / 2 + full / 2 * jitter)
        assert job(db, made.job_id)["scheduled_at"] == answer["scheduled_at"]
        now = answer["scheduled_at"]
        freeze(db, (now - timedelta(milliseconds=1)).isoformat())
        assert claim(db) == []
        freeze(db, now.isoformat())


def test_a_failure_is_told_to_the_owner_and_its_detail_to_operators(db: Connection) -> None:
    made = enqueue(db)
    fail(db, claim(db)[0], error_detail="stack of things", code="x" * 300, error_message="m" * 600)
    row = job(db, made.job_id)
    assert (row["status"], row["retry_count"]) == ("queued", 1)
    assert (row["error_code"], row["error_message"]) == ("x" * 200, "m" * 500)
    detail = one(db, "select error_detail from private.job_runtime where job_id = %s", (made.job_id,))
    assert detail == "stack of things"
    # the next attempt begins without them
    freeze(db, (NOON + timedelta(hours=1)).isoformat())
    [claimed] = claim(db)
    assert claimed["retry_count"] == 1
    assert (job(db, made.job_id)["error_code"], job(db, made.job_id)["error_message"]) == (None, None)


@pytest.mark.parametrize(("asked", "waits"), [(5, 15), (100, 100), (10_000_000, 86_400), (-3, 15)])
def test_a_providers_retry_after_is_honoured(db: Connection, asked: int, waits: int) -> None:
    db.execute("select set_config('app.frozen_jitter', '0', true)")
    enqueue(db)
    answer = fail(db, claim(db)[0], retry_after_s=asked)
    assert answer == {"status": "queued", "scheduled_at": NOON + timedelta(seconds=waits)}


def test_a_permanent_failure_is_final(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db)
    answer = fail(db, claimed, retryable=False)
    assert answer is not None
    assert answer["status"] == "failed"
    row = job(db, made.job_id)
    assert (row["status"], row["completed_at"], row["retry_count"]) == ("failed", NOON, 0)
    assert fail(db, claimed, retryable=False) is None


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_a_poison_job_ends_failed_after_its_last_attempt(db: Connection, max_retries: int) -> None:
    made = enqueue(db, max_retries=max_retries)
    attempts = 0
    while claimed := claim(db):
        attempts += 1
        fail(db, claimed[0])
        freeze(db, (NOON + timedelta(days=attempts)).isoformat())
    row = job(db, made.job_id)
    assert (attempts, row["status"], row["retry_count"]) == (max_retries + 1, "failed", max_retries)


def test_a_failure_names_job_and_lease(db: Connection) -> None:
    refused(db, "22004", "select public.svc_fail_job(null, gen_random_uuid(), 'a', 'b')")
    refused(db, "22004", "select public.svc_fail_job(gen_random_uuid(), null, 'a', 'b')")


def test_a_released_job_goes_back_uncounted_to_where_it_stood(db: Connection) -> None:
    first, second = enqueue(db), enqueue(db, priority=-1)
    [claimed] = claim(db, 1)
    assert release(db, claimed) == 1
    row = job(db, first.job_id)
    assert (row["status"], row["retry_count"], row["scheduled_at"]) == ("queued", 0, NOON)
    assert release(db, claimed) == 0
    again = claim(db)
    assert [row["job_id"] for row in again] == [first.job_id, second.job_id]
    assert again[0]["lease_token"] != claimed["lease_token"]


def test_a_released_job_that_was_to_be_cancelled_is(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db)
    db.execute("update public.jobs set cancel_requested = true where id = %s", (made.job_id,))
    assert release(db, claimed) == 1
    row = job(db, made.job_id)
    assert (row["status"], row["completed_at"]) == ("cancelled", NOON)
    assert state(db, made.job_id) == "over"


@pytest.mark.parametrize("by", ["claim", "sweep"])
def test_a_lease_that_ran_out_is_a_failed_attempt_that_runs_again_at_once(db: Connection, by: str) -> None:
    made = enqueue(db)
    [first] = claim(db, lease_s=60)
    freeze(db, (NOON + timedelta(seconds=60)).isoformat())
    assert claim(db) == []
    assert reap(db) == 0
    freeze(db, (NOON + timedelta(seconds=61)).isoformat())
    if by == "sweep":
        assert reap(db) == 1
        row = job(db, made.job_id)
        assert (row["status"], row["retry_count"], row["error_code"]) == ("queued", 1, "lease_expired")
    [second] = claim(db)
    assert (second["job_id"], second["retry_count"]) == (first["job_id"], 1)


def test_a_job_that_kills_its_workers_ends_failed(db: Connection) -> None:
    made = enqueue(db, max_retries=2)
    attempts = 0
    while claimed := claim(db):
        attempts += 1
        run_out(db, *claimed)
    row = job(db, made.job_id)
    assert (attempts, row["status"], row["error_code"]) == (3, "failed", "lease_expired")


def test_a_cancelled_job_of_a_dead_worker_ends_cancelled(db: Connection) -> None:
    made = enqueue(db)
    run_out(db, *claim(db))
    db.execute("update public.jobs set cancel_requested = true where id = %s", (made.job_id,))
    assert reap(db) == 1
    assert job(db, made.job_id)["status"] == "cancelled"


@pytest.mark.parametrize(("limit", "reaped"), [(2, 2), (0, 1), (None, 4), (100_000, 4)])
def test_a_sweep_is_bounded(db: Connection, limit: int | None, reaped: int) -> None:
    for _ in range(4):
        enqueue(db)
    run_out(db, *claim(db))
    assert reap(db, limit) == reaped


def test_states_change_only_along_the_documented_ways(db: Connection) -> None:
    made = enqueue(db)
    for wrong in ("succeeded", "failed"):
        refused(db, "23514", "update public.jobs set status = %s where id = %s", (wrong, made.job_id))
    complete(db, *claim(db))
    for wrong in ("queued", "running", "failed", "cancelled"):
        refused(db, "23514", "update public.jobs set status = %s where id = %s", (wrong, made.job_id))
    refused(db, "23514", "insert into public.jobs (type, status) values ('week_notes', 'running')")


@pytest.mark.parametrize(
    "change",
    [
        "progress = '[]'",
        "priority = 1001",
        "error_message = repeat('x', 501)",
        "retry_count = 4",
        "timeout_s = 86401",
        "dedupe_key = ''",
    ],
)
def test_the_rules_of_a_job_hold_for_changes_too(db: Connection, change: str) -> None:
    made = enqueue(db)
    refused(db, "23514", f"update public.jobs set {change} where id = %s", (made.job_id,))


def test_updated_at_moves_with_every_change(db: Connection) -> None:
    made = enqueue(db)
    claimed: list[dict[str, Any]] = []
    changes: list[Callable[[], object]] = [lambda: claimed.extend(claim(db)), lambda: complete(db, *claimed)]
    for change in changes:
        db.execute("alter table public.jobs disable trigger trg_jobs_updated_at")
        db.execute("update public.jobs set updated_at = '2020-01-01'")
        db.execute("alter table public.jobs enable trigger trg_jobs_updated_at")
        change()
        assert job(db, made.job_id)["updated_at"] == one(db, "select now()")


@pytest.mark.parametrize("role", ["anon", "authenticated", "app_admin"])
def test_no_front_end_reaches_the_workers_functions(db: Connection, role: str) -> None:
    me = persona(db)
    become(db, None if role == "anon" else me, role)
    nothing = json.dumps([])
    for call in (
        "svc_enqueue_job('week_notes')",
        "svc_claim_jobs('me', array['week_notes'], 1)",
        f"svc_heartbeat_jobs('{nothing}')",
        f"svc_complete_jobs('{nothing}')",
        "svc_fail_job(null, null, '', '')",
        f"svc_release_jobs('{nothing}')",
        "svc_reap_expired_jobs()",
        "svc_count_waiting_jobs()",
        "svc_tick_schedules()",
        "svc_pause_provider('x', 1)",
    ):
        refused(db, "42501", f"select public.{call}")


def test_the_service_reaches_them_all(db: Connection) -> None:
    become(db, None, "service_role")
    made = enqueue(db, dedupe_key="k")
    [claimed] = claim(db)
    assert heartbeat(db, claimed) == ["held"]
    assert release(db, claimed) == 1
    assert fail(db, claim(db)[0]) is not None
    assert reap(db) == 0
    assert said(claimed).count(str(made.job_id)) == 1
