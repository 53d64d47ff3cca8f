"""How work is asked for: defaults, refusals, keys."""

from __future__ import annotations

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
    job,
    one,
    rows,
)

Connection = psycopg.Connection[Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(db: Connection) -> None:
    """Time stands still, and no other test's job is in the way."""
    freeze(db, NOON.isoformat())
    db.execute("delete from public.jobs")


def test_a_new_job_waits_with_the_documented_defaults(db: Connection) -> None:
    made = enqueue(db, payload={"a": 1})
    row = job(db, made.job_id)
    assert made.created
    assert (row["status"], row["priority"], row["max_retries"], row["retry_count"]) == ("queued", 0, 3, 0)
    assert (row["timeout_s"], row["provider"], row["dedupe_key"], row["user_id"]) == (600, None, None, None)
    assert (row["scheduled_at"], row["started_at"], row["completed_at"]) == (NOON, None, None)
    assert (row["progress"], row["result"], row["cancel_requested"]) == ({}, None, False)


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ("p_type => null", "22004"),
        ("p_type => 'week_notes', p_payload => null", "22004"),
        ("p_type => 'no_such_type'", "22023"),
        ("p_type => 'week_notes', p_dedupe_mode => 'sometimes'", "22023"),
        ("p_type => 'week_notes', p_dedupe_mode => null", "22023"),
        ("p_type => 'week_notes', p_priority => 1001", "22003"),
        ("p_type => 'week_notes', p_priority => -1001", "22003"),
        ("p_type => 'week_notes', p_max_retries => -1", "23514"),
        ("p_type => 'week_notes', p_max_retries => 101", "23514"),
        ("p_type => 'week_notes', p_timeout_s => 0", "23514"),
        ("p_type => 'week_notes', p_payload => '[]'", "23514"),
        ("p_type => 'week_notes', p_dedupe_key => ''", "23514"),
        ("p_type => 'week_notes', p_user_id => gen_random_uuid()", "23503"),
        ("p_type => 'week_notes', p_week_id => gen_random_uuid()", "23514"),
    ],
)
def test_bad_jobs_are_refused(db: Connection, arguments: str, sqlstate: str) -> None:
    refused(db, sqlstate, f"select public.svc_enqueue_job({arguments})")
    assert one(db, "select count(*) from public.jobs") == 0


def test_a_live_key_is_joined_until_its_job_is_over(db: Connection) -> None:
    first = enqueue(db, dedupe_key="k")
    assert enqueue(db, dedupe_key="k") == (first.job_id, False)
    [running] = claim(db)
    assert enqueue(db, dedupe_key="k") == (first.job_id, False)
    complete(db, running)
    again = enqueue(db, dedupe_key="k")
    assert again.created
    assert again.job_id != first.job_id


@pytest.mark.parametrize("first_mode", ["join", "queued"])
def test_mode_queued_joins_only_a_waiting_job(db: Connection, first_mode: str) -> None:
    first = enqueue(db, dedupe_key="k", dedupe_mode=first_mode)
    assert enqueue(db, dedupe_key="k", dedupe_mode="queued") == (first.job_id, False)
    [running] = claim(db)
    second = enqueue(db, dedupe_key="k", dedupe_mode="queued")
    assert second.created
    assert second.job_id != first.job_id
    assert enqueue(db, dedupe_key="k", dedupe_mode="queued") == (second.job_id, False)
    assert enqueue(db, dedupe_key="k") == (second.job_id, False)
    # the first one may still end, or be tried again
    assert fail(db, running) is not None
    assert job(db, first.job_id)["status"] == "queued"


@pytest.mark.parametrize("mode", ["join", "queued"])
def test_mode_join_also_joins_a_running_job_of_either_mode(db: Connection, mode: str) -> None:
    first = enqueue(db, dedupe_key="k", dedupe_mode=mode)
    claim(db)
    assert enqueue(db, dedupe_key="k") == (first.job_id, False)


@pytest.mark.parametrize(
    "moment", ["infinity", "-infinity", "10000-01-01T00:00:00Z", "294276-12-31T00:00:00Z", "0001-01-01T00:00:00Z BC"]
)
def test_a_moment_that_never_comes_is_refused_by_its_name(db: Connection, moment: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^p_scheduled_at must be"), db.transaction():
        enqueue(db, scheduled_at=moment)
    assert one(db, "select count(*) from public.jobs") == 0


def test_the_last_moments_of_the_calendar_are_taken(db: Connection) -> None:
    last = "9999-12-31T23:59:59Z"
    made = enqueue(db, scheduled_at=last, priority=-1000)
    first = enqueue(db, scheduled_at="0001-01-01T00:00:00Z", priority=1000)
    assert one(db, "select scheduled_at = %s from public.jobs where id = %s", (last, made.job_id))
    assert [row["job_id"] for row in claim(db)] == [first.job_id]


def test_how_many_jobs_of_each_type_wait(db: Connection) -> None:
    count = "select * from public.svc_count_waiting_jobs()"
    assert rows(db, count) == []
    me = persona(db)
    for _ in range(6):
        enqueue(db, user_id=me)
    enqueue(db, "stats_refresh", scheduled_at=NOON + timedelta(hours=1))
    enqueue(db, "catalog_sync", scheduled_at=NOON - timedelta(minutes=2))
    freeze(db, (NOON + timedelta(seconds=90)).isoformat())
    assert rows(db, count) == [
        {"type": "catalog_sync", "waiting": 1, "oldest_s": 210},
        {"type": "stats_refresh", "waiting": 1, "oldest_s": 0},
        {"type": TYPE, "waiting": 6, "oldest_s": 90},
    ]
    claim(db, types=("catalog_sync",))
    claim(db, 3)
    assert [(row["type"], row["waiting"]) for row in rows(db, count)] == [("stats_refresh", 1), (TYPE, 3)]
