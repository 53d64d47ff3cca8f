"""``./scripts/bench jobs``: how fast the queue is, and what must not slow it down.

Jobs per second of claim and completion by four clients, with finished rows and a full queue, fsync on: in SQL (the
bound is at batch 10) and through PostgREST. Beside it, without a bound, procrastinate's fetch and finish functions and,
when the environment's PGMQ_SQL names its SQL file, pgmq's read and delete. Then the 95th percentile of a claim with a
million finished rows and beside a person with very many waiting jobs, and the speed at the end of a long snapshot, each
as a ratio to the same without. Last the chaos test at a larger size.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from scripts.native.paths import REPO
from scripts.native.stack import Options, Stack

Connection = psycopg.Connection[Any]
TYPE = "week_notes"
CLIENTS = 4
P95_ROUNDS = 5
NOISY_PERSON = 10_000_000
CLAIM = "select job_id::text, lease_token::text from public.svc_claim_jobs('bench', array['week_notes'], %s, 3600, %s)"
COMPLETE = "select count(*) from public.svc_complete_jobs(%s)"
# what enqueueing so many jobs would come to: rows of the two tables
LOAD = """
    with made as (
        insert into public.jobs (type, user_id, status, scheduled_at, started_at, completed_at)
        select 'week_notes', ('00000000-0000-4000-8000-' || lpad(to_hex({first} + n % {users}), 12, '0'))::uuid,
               {status}, now() - interval '1 hour' + n * interval '1 microsecond', {ended}, {ended}
        from generate_series(1, {rows}) as n
        returning id, user_id, scheduled_at, status
    )
    insert into private.job_runtime (job_id, type, user_id, rank, due_at, state)
    select id, 'week_notes', user_id, scheduled_at, scheduled_at,
           (case when status = 'succeeded' then 'over'
                 when row_number() over (partition by user_id order by scheduled_at) <= 4 then 'ready'
                 else 'waiting' end)::private.job_state
    from made
    order by scheduled_at
"""
PROCRASTINATE_ROWS = (
    "insert into procrastinate_jobs (queue_name, task_name, args, status)"
    " select 'bench', 'task', '{}', %s from generate_series(1, %s)"
)
PGMQ_ROWS = "select count(*) from (select pgmq.send('bench', '{}') from generate_series(1, %s)) as sent"


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    finished: int
    queued: int
    users: int
    history: int
    seconds: float
    hold: float
    claims: int
    chaos: int


@dataclass(frozen=True)
class Line:
    """One measured value; ``bound`` is what it may at least (or at most) be, None when it is for information."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = True

    @property
    def ok(self) -> bool:
        """Within its bound."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        bound = "" if self.bound is None else f"{'>=' if self.at_least else '<='} {self.bound:g}"
        verdict = "info" if self.bound is None else "ok" if self.ok else "FAILED"
        return f"{self.name:58} {self.value:>10,.2f} {self.unit:7} {bound:>8}  {verdict}"


# ---- rows -----------------------------------------------------------------------------------------------------------


def load(db: Connection, rows: int, users: int, *, finished: bool = False, first: int = 1) -> None:
    """Adds finished or queued jobs, spread over so many people; a person's first four are ready."""
    if rows > 0:
        status, ended = ("'succeeded'", "now()") if finished else ("'queued'", "null")
        db.execute("set session_replication_role = replica")
        db.execute(LOAD.format(rows=rows, users=users, first=first, status=status, ended=ended).encode())
        db.execute("set session_replication_role = origin")


def start_over(db: Connection, sizes: Sizes, users: int, finished: int = 0) -> None:
    """A full queue of so many people and so many finished rows, nothing else."""
    db.execute("truncate public.jobs cascade")
    load(db, finished, users, finished=True)
    load(db, sizes.queued, users)
    settle(db)


def settle(db: Connection) -> None:
    """What autovacuum would have done by now."""
    db.execute("vacuum analyze")


# ---- clients: each runs in a process of its own ---------------------------------------------------------------------

Cycle = Callable[[], int]
Maker = Callable[[str, int], Cycle]


def named(rows: list[Any]) -> str:
    """Jobs and their leases as completions name them."""
    return json.dumps([{"job_id": job, "lease_token": token} for job, token in rows])


def ours_sql(url: str, batch: int) -> Cycle:
    """Over a database connection."""
    db = psycopg.connect(url, autocommit=True)

    def cycle() -> int:
        rows = db.execute(CLAIM, (batch, uuid.uuid4()), prepare=True).fetchall()
        db.execute(COMPLETE, (named(rows),), prepare=True)
        return len(rows)

    return cycle


def ours_rest(address: str, batch: int) -> Cycle:
    """Through PostgREST; ``address`` is its URL and a token."""
    url, token = address.split()
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(name: str, body: str) -> Any:
        connection.request("POST", f"/rpc/{name}", body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(answer)
        return json.loads(answer)

    def cycle() -> int:
        asked = {"p_worker": "bench", "p_types": [TYPE], "p_limit": batch, "p_claim_id": str(uuid.uuid4())}
        rows = [(row["job_id"], row["lease_token"]) for row in call("svc_claim_jobs", json.dumps(asked))]
        call("svc_complete_jobs", f'{{"p_jobs": {named(rows)}}}')
        return len(rows)

    return cycle


def procrastinate_sql(url: str, _: int) -> Cycle:
    """procrastinate's own functions; it fetches one job at a time."""
    db = psycopg.connect(url, autocommit=True)
    worker = db.execute("insert into procrastinate_workers default values returning id").fetchone()
    assert worker is not None

    def cycle() -> int:
        row = db.execute("select id from procrastinate_fetch_job_v2(null, %s)", worker, prepare=True).fetchone()
        assert row is not None
        db.execute("select procrastinate_finish_job_v1(%s, 'succeeded', false)", row, prepare=True)
        return 1

    return cycle


def pgmq_sql(url: str, batch: int) -> Cycle:
    """pgmq's read and delete."""
    db = psycopg.connect(url, autocommit=True)

    def cycle() -> int:
        rows = db.execute("select msg_id from pgmq.read('bench', 60, %s)", (batch,), prepare=True).fetchall()
        db.execute("select pgmq.delete('bench', %s::bigint[])", ([row[0] for row in rows],), prepare=True)
        return len(rows)

    return cycle


def client(make: Maker, address: str, batch: int, seconds: float) -> list[tuple[float, int]]:
    """Runs cycles for so long; (second since the start, jobs) of each."""
    cycle = make(address, batch)
    cycle()  # plans and connections
    began = time.monotonic()
    done = []
    while (now := time.monotonic() - began) < seconds:
        done.append((now, cycle()))
    return done


def together(
    pool: ProcessPoolExecutor, make: Maker, address: str, batch: int, seconds: float
) -> list[tuple[float, int]]:
    """The cycles of all clients."""
    runs = [pool.submit(client, make, address, batch, seconds) for _ in range(CLIENTS)]
    return [entry for run in runs for entry in run.result()]


# ---- measurements ---------------------------------------------------------------------------------------------------


def speeds(stack: Stack, db: Connection, pool: ProcessPoolExecutor, sizes: Sizes) -> Iterator[Line]:
    """Jobs per second, ours and the others'."""
    url = stack.server.url("supabase_admin")
    measures: list[tuple[str, Maker, str]] = [
        ("SQL", ours_sql, url),
        ("PostgREST", ours_rest, f"{stack.rest_url} {stack.service_token}"),
    ]
    if load_procrastinate(db, sizes):
        measures.append(("procrastinate", procrastinate_sql, url))
    if load_pgmq(db, sizes):
        measures.append(("pgmq", pgmq_sql, url))
    for batch in (1, 10, 50):
        measured: dict[str, float] = {}
        for name, make, address in measures:
            if name == "procrastinate" and batch > 1:
                continue
            start_over(db, sizes, sizes.users, sizes.finished)
            done = together(pool, make, address, batch, sizes.seconds)
            measured[name] = sum(jobs for _, jobs in done) / sizes.seconds
            bound = 300 if (name, batch) == ("SQL", 10) else None
            yield Line(f"{name}, batch {batch}", measured[name], "jobs/s", bound)
        for name in measured.keys() - {"SQL", "PostgREST"}:
            yield Line(f"SQL, batch {batch}, over {name}", measured["SQL"] / measured[name], "x")


def load_procrastinate(db: Connection, sizes: Sizes) -> bool:
    """Its schema with as many finished and waiting jobs; False where it is not installed."""
    found = importlib.util.find_spec("procrastinate")
    if found is None or found.origin is None:
        print("procrastinate is not installed: not compared")
        return False
    db.execute((Path(found.origin).parent / "sql" / "schema.sql").read_bytes())
    db.execute("alter table procrastinate_jobs disable trigger user")
    db.execute(PROCRASTINATE_ROWS, ("succeeded", sizes.finished))
    db.execute(PROCRASTINATE_ROWS, ("todo", sizes.queued))
    db.execute("alter table procrastinate_jobs enable trigger user")
    return True


def load_pgmq(db: Connection, sizes: Sizes) -> bool:
    """Its SQL and a full queue; False where no file is given."""
    file = os.environ.get("PGMQ_SQL")
    if not file:
        print("PGMQ_SQL names no file: pgmq is not compared")
        return False
    db.execute("create schema if not exists pgmq")
    db.execute(Path(file).read_bytes())
    db.execute("select pgmq.create('bench')")
    db.execute(PGMQ_ROWS, (sizes.queued,))
    return True


def claim_p95(db: Connection, claims: int) -> float:
    """The 95th percentile of claims of ten in milliseconds, each completed before the next; of the best round.

    A round before them, which does not count, warms plans and pages.
    """
    rounds = []
    for _ in range(1 + P95_ROUNDS):
        taken = []
        for _ in range(claims // P95_ROUNDS):
            began = time.perf_counter()
            rows = db.execute(CLAIM, (10, uuid.uuid4()), prepare=True).fetchall()
            taken.append((time.perf_counter() - began) * 1000)
            assert len(rows) == 10, "the queue ran empty"
            db.execute(COMPLETE, (named(rows),), prepare=True)
        rounds.append(statistics.quantiles(taken, n=20)[-1])
    return min(rounds[1:])


def burdens(db: Connection, sizes: Sizes) -> Iterator[Line]:
    """Claims with history, and beside a person with very many jobs, over claims without."""
    start_over(db, sizes, sizes.users)
    without = claim_p95(db, sizes.claims)
    start_over(db, sizes, sizes.users, sizes.history)
    history = claim_p95(db, sizes.claims)
    yield Line("claim p95, batch 10", without, "ms")
    name = f"claim p95 with {sizes.history:,} finished rows, over none"
    yield Line(name, history / without, "x", 1.3, at_least=False)

    start_over(db, sizes, sizes.users)
    load(db, sizes.queued, 1, first=NOISY_PERSON)
    # the person's ready jobs come first: claimed, they keep all the person's slots
    db.execute(
        "update private.job_runtime set rank = rank - interval '1 day' where state = 'ready' and user_id = %s",
        (uuid.UUID(f"00000000-0000-4000-8000-{NOISY_PERSON:012x}"),),
    )
    assert len(db.execute(CLAIM, (4, uuid.uuid4())).fetchall()) == 4
    settle(db)
    name = f"claim p95 beside a person of {sizes.queued:,} waiting jobs"
    yield Line(name, claim_p95(db, sizes.claims) / without, "x", 3, at_least=False)


def held_snapshot(stack: Stack, db: Connection, pool: ProcessPoolExecutor, sizes: Sizes) -> Iterator[Line]:
    """Speed at the end of a long snapshot over the speed at its start."""
    start_over(db, sizes, sizes.users, sizes.finished)
    url = stack.server.url("supabase_admin")
    with psycopg.connect(url) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from private.job_runtime")
        done = together(pool, ours_sql, url, 1, sizes.hold)
    window = min(3.0, sizes.hold / 4)
    start = sum(jobs for at, jobs in done if at < window) / window
    end = sum(jobs for at, jobs in done if at >= sizes.hold - window) / window
    yield Line("SQL, batch 1, as a snapshot begins", start, "jobs/s")
    yield Line(f"the same after {sizes.hold:.0f} s of it, over its beginning", end / start, "x", 0.3)


def chaos(sizes: Sizes) -> Iterator[Line]:
    """The chaos test with more jobs; it prints its own numbers."""
    test = [sys.executable, "-m", "pytest", "-q", "-s", "--no-header", "tests/end_to_end/test_job_chaos.py"]
    ended = subprocess.run(test, cwd=REPO, env={**os.environ, "CHAOS_JOBS": str(sizes.chaos)}, check=False)
    yield Line(f"chaos: {sizes.chaos} jobs, lost or done twice", float(ended.returncode != 0), "", 0, at_least=False)


def main(argv: list[str]) -> int:
    """Prints a line per measurement; 1 when one misses its bound."""
    parser = argparse.ArgumentParser(prog="./scripts/bench jobs", description=__doc__)
    parser.add_argument("--finished", type=int, default=500_000)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=25_000, help="people the queued jobs belong to")
    parser.add_argument("--history", type=int, default=1_000_000, help="finished rows of the p95 comparison")
    parser.add_argument("--seconds", type=float, default=12.0, help="each measurement of throughput")
    parser.add_argument("--hold", type=float, default=30.0, help="seconds the snapshot is held")
    parser.add_argument("--claims", type=int, default=400, help="claims of each p95")
    parser.add_argument("--chaos", type=int, default=600, help="jobs of the chaos test")
    parser.add_argument("--only", help="of speeds,burdens,snapshot,chaos; all by default")
    chosen = parser.parse_args(argv)
    only = set((chosen.only or "speeds,burdens,snapshot,chaos").split(","))
    sizes = Sizes(**{name: getattr(chosen, name) for name in Sizes.__dataclass_fields__})
    lines: list[Line] = []

    def show(measured: Iterator[Line]) -> None:
        for line in measured:
            lines.append(line)
            print(line, flush=True)

    # a server that is kept: what a claim promises must survive a power cut
    settings = {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
    options = Options(without=frozenset({"functions", "worker", "model"}), postgres=settings, quiet=True)
    if only - {"chaos"}:
        with (
            Stack(options) as stack,
            ProcessPoolExecutor(CLIENTS) as pool,
            psycopg.connect(stack.server.url("supabase_admin"), autocommit=True) as db,
        ):
            if "speeds" in only:
                show(speeds(stack, db, pool, sizes))
            if "burdens" in only:
                show(burdens(db, sizes))
            if "snapshot" in only:
                show(held_snapshot(stack, db, pool, sizes))
    if "chaos" in only:
        show(chaos(sizes))
    failed = sum(not line.ok for line in lines)
    print(f"{len(lines) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main([]))
