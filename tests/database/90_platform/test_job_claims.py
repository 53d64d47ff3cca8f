"""How workers take jobs and keep them: claims, order, leases, heartbeats."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.people import freeze, persona, refused
from tests.support.queue import (
    TYPE,
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


def test_a_claim_hands_out_the_job_with_its_lease(db: Connection) -> None:
    me = persona(db)
    made = enqueue(db, payload={"week": "w"}, user_id=me, max_retries=2, timeout_s=30)
    [claimed] = claim(db, lease_s=60)
    assert claimed["job_id"] == made.job_id
    assert (claimed["type"], claimed["user_id"], claimed["week_id"]) == (TYPE, me, None)
    assert claimed["payload"] == {"week": "w"}
    assert (claimed["retry_count"], claimed["max_retries"], claimed["timeout_s"]) == (0, 2, 30)
    assert claimed["locked_until"] == NOON + timedelta(seconds=60)
    assert claimed["provider_wait_ms"] == 0
    row = job(db, made.job_id)
    assert (row["status"], row["started_at"]) == ("running", NOON)
    assert state(db, made.job_id) == "running"
    assert claim(db) == []


@pytest.mark.parametrize(
    "arguments",
    ["null, array['week_notes'], 1", "'me', null, 1"],
)
def test_a_claim_without_worker_or_types_is_refused(db: Connection, arguments: str) -> None:
    refused(db, "22004", f"select * from public.svc_claim_jobs({arguments})")


def test_a_claim_takes_only_its_types(db: Connection) -> None:
    enqueue(db, "stats_refresh")
    assert claim(db, types=(TYPE, "unknown_type")) == []
    assert len(claim(db, types=("stats_refresh",))) == 1


@pytest.mark.parametrize(("limit", "given"), [(0, 1), (-5, 1), (None, 1), (3, 3), (100, 100), (5000, 100)])
def test_the_limit_is_clamped(db: Connection, limit: int | None, given: int) -> None:
    for _ in range(105):
        enqueue(db)
    assert len(claim(db, limit)) == given


@pytest.mark.parametrize(("lease", "seconds"), [(0, 1), (30, 30), (999_999, 3600), (None, 60)])
def test_the_lease_is_clamped(db: Connection, lease: int | None, seconds: int) -> None:
    enqueue(db)
    [claimed] = claim(db, lease_s=lease)
    assert claimed["locked_until"] == NOON + timedelta(seconds=seconds)


def test_the_same_claim_gives_the_same_rows(db: Connection) -> None:
    for _ in range(5):
        enqueue(db)
    claim_id = uuid.uuid4()
    first = claim(db, 2, claim_id=claim_id)
    assert len(first) == 2
    assert claim(db, 2, claim_id=claim_id) == first
    # a longer wish does not make it another claim
    assert claim(db, 5, claim_id=claim_id) == first
    complete(db, first[0])
    assert claim(db, 2, claim_id=claim_id) == first[1:]
    assert len(claim(db, 5)) == 3


def test_a_claim_id_is_not_answered_with_jobs_that_others_took_over(db: Connection) -> None:
    enqueue(db)
    claim_id = uuid.uuid4()
    [first] = claim(db, claim_id=claim_id)
    run_out(db, first)
    [second] = claim(db)
    assert second["job_id"] == first["job_id"]
    assert second["lease_token"] != first["lease_token"]
    assert claim(db, claim_id=claim_id) == []


def test_a_scheduled_job_is_not_handed_out_before_its_moment(db: Connection) -> None:
    made = enqueue(db, scheduled_at=NOON + timedelta(minutes=1))
    assert claim(db) == []
    freeze(db, (NOON + timedelta(seconds=59)).isoformat())
    assert claim(db) == []
    freeze(db, (NOON + timedelta(seconds=60)).isoformat())
    assert [row["job_id"] for row in claim(db)] == [made.job_id]


def test_priority_goes_first_and_age_makes_up_for_it(db: Connection) -> None:
    old = enqueue(db)
    freeze(db, (NOON + timedelta(minutes=4)).isoformat())
    ordinary = enqueue(db)
    urgent = enqueue(db, priority=1)
    lowly = enqueue(db, priority=-1)
    freeze(db, (NOON + timedelta(minutes=6)).isoformat())
    later_urgent = enqueue(db, priority=1)
    expected = [urgent.job_id, old.job_id, later_urgent.job_id, ordinary.job_id, lowly.job_id]
    assert [row["job_id"] for row in claim(db)] == expected


def test_an_urgent_job_is_found_however_far_the_queue_is(db: Connection) -> None:
    for minute in range(10):
        freeze(db, (NOON + timedelta(minutes=minute)).isoformat())
        enqueue(db)
        enqueue(db)
        claim(db, 1)
    urgent = enqueue(db, priority=100)
    assert claim(db, 1)[0]["job_id"] == urgent.job_id


def test_a_due_job_overtakes_a_backlog_with_the_next_sweep(db: Connection) -> None:
    urgent = enqueue(db, priority=5, scheduled_at=NOON + timedelta(minutes=1))
    for _ in range(10):
        enqueue(db)
    freeze(db, (NOON + timedelta(minutes=1)).isoformat())
    reap(db)
    assert claim(db, 1)[0]["job_id"] == urgent.job_id


def test_jobs_of_equal_rank_are_handed_out_in_one_order(db: Connection) -> None:
    ids = [enqueue(db).job_id for _ in range(20)]
    assert [claim(db, 1)[0]["job_id"] for _ in range(20)] == sorted(ids)


def test_an_attempt_begins_without_what_the_last_one_left(db: Connection) -> None:
    failed, released = enqueue(db, priority=1), enqueue(db)
    first, second = claim(db)
    heartbeat(db, first, second, progress={"n": 1})
    fail(db, first, retry_after_s=1)
    release(db, second)
    row = job(db, failed.job_id)
    assert (row["error_code"], row["error_message"], row["progress"]) == ("broken", "It broke.", {})
    assert job(db, released.job_id)["progress"] == {}
    freeze(db, (NOON + timedelta(hours=1)).isoformat())
    assert len(claim(db)) == 2
    row = job(db, failed.job_id)
    assert (row["error_code"], row["error_message"], row["progress"]) == (None, None, {})


def test_a_heartbeat_keeps_the_lease_and_shows_progress(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db, lease_s=10)
    freeze(db, (NOON + timedelta(seconds=9)).isoformat())
    assert heartbeat(db, claimed, progress={"done": 3}) == ["held"]
    assert job(db, made.job_id)["progress"] == {"done": 3}
    until = one(db, "select locked_until from private.job_runtime where job_id = %s", (made.job_id,))
    assert until == NOON + timedelta(seconds=69)
    assert heartbeat(db, claimed) == ["held"]
    assert heartbeat(db, claimed, progress="no object") == ["held"]
    assert job(db, made.job_id)["progress"] == {"done": 3}


def test_a_heartbeat_says_what_became_of_each_job(db: Connection) -> None:
    for _ in range(5):
        enqueue(db)
    held, asked, over, taken, deleted = claim(db)
    db.execute("update public.jobs set cancel_requested = true where id = %s", (asked["job_id"],))
    complete(db, over)
    run_out(db, taken)
    claim(db)
    db.execute("delete from public.jobs where id = %s", (deleted["job_id"],))
    assert heartbeat(db, held, asked, over, taken, deleted) == ["held", "cancel", "lost", "lost", "gone"]


LISTS = ["svc_heartbeat_jobs", "svc_complete_jobs", "svc_release_jobs"]


@pytest.mark.parametrize("call", LISTS)
def test_a_missing_list_of_jobs_is_refused_by_its_name(db: Connection, call: str) -> None:
    with pytest.raises(psycopg.errors.NullValueNotAllowed, match=r"^p_jobs must not be null"), db.transaction():
        db.execute(f"select public.{call}(null)")


@pytest.mark.parametrize("call", LISTS)
@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("given", ["{}", "null", "1", '"x"', "[1]", "[[]]", '[null, {"job_id": null}]'])
def test_a_list_of_jobs_is_an_array_of_objects(db: Connection, call: str, running: bool, given: str) -> None:
    if running:
        enqueue(db)
        claim(db)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^p_jobs must be an array"), db.transaction():
        db.execute(f"select public.{call}(%s::jsonb)", (given,))


@pytest.mark.parametrize("call", LISTS)
@pytest.mark.parametrize("running", [True, False])
def test_what_is_no_id_is_refused(db: Connection, call: str, running: bool) -> None:
    if running:
        enqueue(db)
        claim(db)
    for given in ('[{"job_id": "x"}]', '[{"lease_token": "x"}]'):
        refused(db, "22P02", f"select public.{call}(%s::jsonb)", (given,))


@pytest.mark.parametrize("call", LISTS)
def test_an_empty_list_does_nothing(db: Connection, call: str) -> None:
    enqueue(db)
    claim(db)
    assert [row["answer"] for row in rows(db, f"select public.{call}('[]') as answer")] in ([], [0])


@pytest.mark.parametrize("order", [1, -1])
def test_a_job_named_under_two_leases_is_held_by_one(db: Connection, order: int) -> None:
    made = enqueue(db)
    [right] = claim(db)
    wrong = {**right, "lease_token": uuid.uuid4()}
    both = json.loads(said(right, progress={"n": 1})) + json.loads(said(wrong, progress={"n": 2}))
    answers = rows(db, "select * from public.svc_heartbeat_jobs(%s)", (json.dumps(both[::order]),))
    assert sorted(row["state"] for row in answers) == ["held", "lost"]
    assert job(db, made.job_id)["progress"] == {"n": 1}
