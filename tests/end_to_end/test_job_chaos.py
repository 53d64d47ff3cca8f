"""Chaos: small jobs with counted effects while workers are killed and answers are lost. Nothing is lost or done twice.

Sizes by environment: CHAOS_JOBS, CHAOS_WORKERS.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from scripts.native.stack import Options, Stack
from tests.support.bad_line import BadLine
from tests.support.job_handlers import TYPE
from tests.support.workers import WorkerProcess, statuses

JOBS = int(os.environ.get("CHAOS_JOBS", "60"))
WORKERS = int(os.environ.get("CHAOS_WORKERS", "3"))
KILL_EVERY_SECONDS = 2.0
LEASE_SECONDS = 2
MAX_RETRIES = 30
WORK_SECONDS = 0.02
# No job takes longer than all its attempts, each dying with its worker and found a lease and a third later: back-offs,
# which would take minutes, are cut short. All jobs' work one after the other comes on top.
MAX_SECONDS = (MAX_RETRIES + 1) * 1.3 * LEASE_SECONDS + JOBS * WORK_SECONDS
BACK_OFFS_END_NOW = "update private.job_runtime set due_at = now() where state = 'later'"
SETTINGS = {"JOB_LEASE_SECONDS": str(LEASE_SECONDS), "WORKER_POLL_SECONDS": "0.3", "WORKER_CONCURRENCY": "4"}

# an effect as handlers are told to have it: applied once, by a key of its own; every attempt and every end is noted
EFFECTS = """
    create table public.chaos_attempts (job_id uuid not null, lease_token uuid not null, at timestamptz default now());
    create table public.chaos_effects (job_id uuid primary key, applied int not null);
    create table public.chaos_ends (job_id uuid not null, status text not null);
    create function public.chaos_apply(p_job_id uuid, p_lease_token uuid) returns void language sql as $$
        insert into public.chaos_attempts values (p_job_id, p_lease_token);
        insert into public.chaos_effects values (p_job_id, 1) on conflict do nothing;
    $$;
    create function public.chaos_note() returns trigger language plpgsql security definer as $$
    begin
        insert into public.chaos_ends values (new.id, new.status);
        return null;
    end $$;
    create trigger chaos_note after update of status on public.jobs for each row
        when (old.status is distinct from new.status and new.completed_at is not null)
        execute function public.chaos_note();
    grant all on public.chaos_attempts, public.chaos_effects to service_role;
    grant execute on function public.chaos_apply(uuid, uuid) to service_role;
    notify pgrst, 'reload schema';
"""


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A platform of its own: it gets further tables."""
    options = Options(without=frozenset({"functions", "worker", "model"}), quiet=True)
    with Stack(options) as stack, psycopg.connect(stack.db_url, autocommit=True) as db:
        db.execute(EFFECTS)
        time.sleep(0.5)  # until PostgREST has seen them
        yield stack


def dismiss(workers: list[WorkerProcess]) -> None:
    """Ends what still runs."""
    for worker in workers:
        worker.process.kill()
        worker.process.wait(5)


def test_chaos_loses_nothing_and_does_nothing_twice(own_stack: Stack, tmp_path: Path) -> None:
    chance = random.Random(7)
    with ExitStack() as running, psycopg.connect(own_stack.db_url, autocommit=True) as db:
        line = running.enter_context(BadLine(own_stack.url, seed=7))
        line.chance("svc_claim_jobs", "lose", 0.15)
        line.chance("svc_complete_jobs", "lose", 0.15)
        line.next("svc_complete_jobs", "lose", times=3)
        line.chance("chaos_apply", "lose", 0.01)
        line.chance("/rest/", "refuse", 0.02)
        db.execute(
            "select count(*) from generate_series(1, %s) as n, lateral public.svc_enqueue_job("
            " %s, jsonb_build_object('do', 'apply', 'seconds', %s::float8, 'n', n), p_max_retries => %s)",
            (JOBS, TYPE, WORK_SECONDS, MAX_RETRIES),
        )

        def hire(number: int) -> WorkerProcess:
            return WorkerProcess(own_stack, tmp_path / f"{number}.log", {**SETTINGS, "SUPABASE_URL": line.url})

        workers = [hire(number) for number in range(WORKERS)]
        running.callback(dismiss, workers)
        began, hired, kills = time.monotonic(), WORKERS, 0
        kill_at = began + KILL_EVERY_SECONDS
        while statuses(own_stack.db_url).get("succeeded", 0) < JOBS and time.monotonic() < began + MAX_SECONDS:
            time.sleep(0.2)
            db.execute(BACK_OFFS_END_NOW)
            if time.monotonic() > kill_at:
                kill_at += KILL_EVERY_SECONDS
                chosen = chance.randrange(WORKERS)
                if "worker_started" in workers[chosen].logged():
                    workers[chosen].process.kill()
                    workers[chosen].process.wait(5)
                    workers[chosen], hired, kills = hire(hired), hired + 1, kills + 1
        took = time.monotonic() - began

        numbers = db.execute(
            """
            select (select count(*) from public.chaos_effects),
                   (select coalesce(sum(applied), 0) from public.chaos_effects),
                   (select count(*) from public.chaos_ends where status = 'succeeded'),
                   (select count(*) from public.chaos_attempts),
                   (select max(n) from (select count(distinct lease_token) as n
                                        from public.chaos_attempts group by job_id) as attempts),
                   (select max(retry_count) from public.jobs)
            """
        ).fetchone()
        assert numbers is not None
        effects, applied, ends, attempts, most_attempts, most_retries = numbers
        print(
            f"{JOBS} jobs, {WORKERS} workers, {took:.0f} s: {kills} kills, {sum(line.done.values())} faults, "
            f"{JOBS - effects} lost, {applied - effects} applied twice, {ends - JOBS} ended twice, {attempts} attempts"
            f", at most {most_attempts} of a job, {most_retries} counted"
        )
        assert statuses(own_stack.db_url) == {"succeeded": JOBS}
        assert (effects, applied, ends) == (JOBS, JOBS, JOBS)
        assert most_attempts <= MAX_RETRIES + 1
        assert kills > 0
        assert line.done["svc_complete_jobs", "lose"] >= 3
