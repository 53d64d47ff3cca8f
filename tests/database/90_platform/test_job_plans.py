"""The plans of the queue's calls on large tables."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from tests.support.people import persona
from tests.support.queue import claim, complete, enqueue, fail, heartbeat, release

Connection = psycopg.Connection[Any]
TYPE = "brand_package"
QUEUE_TABLES = ("jobs", "job_runtime")


def whole_reads(db: Connection) -> dict[str, int]:
    """How often this transaction has read each of the queue's tables from end to end."""
    counted = db.execute(
        "select relname, seq_scan from pg_stat_xact_user_tables where relname = any (%s)", (list(QUEUE_TABLES),)
    )
    return dict(counted.fetchall())


def test_no_call_reads_a_table_whole_even_by_a_generic_plan(db: Connection) -> None:
    # without triggers and foreign keys: hundreds of thousands of rows in a few seconds
    db.execute("alter table public.jobs disable trigger user")
    db.execute("alter table private.job_runtime drop constraint job_runtime_job_id_fkey")
    db.execute(
        "insert into public.jobs (type, status, started_at, completed_at)"
        " select 'brand_package', 'succeeded', now(), now() from generate_series(1, 300000)"
    )
    db.execute(
        "with made as ("
        "insert into public.jobs (type) select 'brand_package' from generate_series(1, 20000) returning id"
        ") insert into private.job_runtime (job_id, type, rank, due_at, state)"
        " select id, 'brand_package', now() - random() * interval '1 day', now(), 'ready' from made"
    )
    db.execute(
        "insert into private.job_runtime (job_id, type, rank, due_at, state)"
        " select id, type, now(), now(), 'over' from public.jobs where status = 'succeeded'"
        " on conflict do nothing"
    )
    # one person with so many that the planner expects to meet their rows anywhere
    me, other = persona(db), persona(db)
    db.execute(
        "with made as ("
        "insert into public.jobs (type, user_id) select 'brand_package', %s from generate_series(1, 20000) returning id"
        ") insert into private.job_runtime (job_id, type, user_id, rank, due_at, state)"
        " select id, 'brand_package', %s, now(), now(), 'waiting' from made",
        (me, me),
    )
    db.execute("set constraints all immediate")
    db.execute("analyze public.jobs, private.job_runtime")
    db.execute("alter table public.jobs enable trigger user")
    db.execute("set constraints all deferred")
    db.execute("set local plan_cache_mode = force_generic_plan")
    before = whole_reads(db)
    for _ in range(2):
        enqueue(db, TYPE, user_id=other)
        made = enqueue(db, TYPE, user_id=me, dedupe_key="k", dedupe_mode="queued")
        first, second, third, *_ = claim(db, 10, types=(TYPE,))
        heartbeat(db, first, second, progress={"n": 1})
        complete(db, first)
        fail(db, second)
        release(db, third)
        complete(db, *claim(db, 3, types=(TYPE,)))
        db.execute("select private.end_live_job(%s)", (made.job_id,))
        db.execute("select public.svc_reap_expired_jobs()")
        claim(db, 100, types=(TYPE,), claim_id=uuid.uuid4())
        claim(db, 100, types=("stats_refresh",))
    assert whole_reads(db) == before
