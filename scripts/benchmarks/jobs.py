"""``./scripts/bench jobs``: the queue beside others on the same server, with history, a noisy user, an old snapshot.

Jobs per second of claim and completion at batch 1, 10 and 50 (four clients, 500k finished rows and 100k queued ones,
fsync on), in SQL and through PostgREST, beside procrastinate's fetch and finish functions and, when the environment's
PGMQ_SQL names its SQL file, pgmq's read and delete. A client of ours does as our worker: one call hands in the last
batch and takes the next. Then what must not slow a claim down: a million finished rows, a person with 100k jobs at his
cap, a snapshot held for 30 seconds; and what a small user waits beside a flooding one.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from scripts.native.stack import Options, Stack

Connection = psycopg.Connection[Any]
TYPE = "week_notes"
CLIENTS = 4
ROUNDS = 8
# ids as text, as workers have them
EXCHANGE = (
    "select job_id::text, lease_token::text"
    " from public.svc_exchange_jobs(%s, 'bench', array['week_notes'], %s, 3600, %s)"
)
CLAIM = "select job_id::text, lease_token::text from public.svc_claim_jobs('bench', array['week_notes'], %s, 60, %s)"
COMPLETE = "select count(*) from public.svc_complete_jobs(%s)"
OURS = ("public.jobs", "private.job_runtime", "private.job_claims")
PROCRASTINATE_QUEUED = (
    "insert into procrastinate_jobs (queue_name, task_name, args)"
    " select 'bench', 'task', '{\"week_id\": 1}'"
    " from generate_series(1, %s - (select count(*) from procrastinate_jobs where status = 'todo'))"
)
PGMQ_QUEUED = (
    "select count(*) from (select pgmq.send('bench', '{\"week_id\": 1}')"
    " from generate_series(1, %s - (select count(*) from pgmq.q_bench))) as sent"
)
# as a person's jobs would come to be, but without asking for each: rows of the two tables
LOAD = """
    with made as (
        insert into public.jobs (type, user_id, status, scheduled_at, started_at, completed_at)
        select 'week_notes', ('00000000-0000-4000-8000-' || lpad(to_hex({first} + n % {users}), 12, '0'))::uuid,
               {status}, now() - interval '1 hour' + n * interval '1 microsecond', {ended}, {ended}
        from generate_series(1, {rows}) as n
        returning id, user_id, scheduled_at, status
    )
    insert into private.job_runtime (job_id, payload, type, user_id, rank, due_at, state)
    select id, '{{"week_id": 1}}', 'week_notes', user_id, scheduled_at, scheduled_at,
           (case when row_number() over (partition by user_id order by scheduled_at) <= 4 then 'admitted'
                 else 'waiting' end)::private.job_state
    from made
    where status = 'queued'
    order by scheduled_at
"""


def load(db: Connection, rows: int, *, finished: bool, users: int, first: int = 1) -> None:
    """Adds finished or queued jobs, spread over so many people; a person's first four are admitted."""
    if rows:
        status, ended = ("'succeeded'", "now()") if finished else ("'queued'", "null")
        db.execute("set session_replication_role = replica")
        db.execute(LOAD.format(rows=rows, users=users, first=first, status=status, ended=ended).encode())
        db.execute("set session_replication_role = origin")


def empty(db: Connection) -> None:
    """No jobs at all."""
    db.execute("truncate public.jobs, private.job_claims cascade")


def settle(db: Connection) -> None:
    """What autovacuum would have done by now, for the others' tables as for ours."""
    others = [name for name in ("procrastinate_jobs", "pgmq.q_bench") if there(db, name)]
    db.execute(f"vacuum analyze {', '.join([*OURS, *others])}".encode())


def there(db: Connection, table: str) -> bool:
    """Whether the table exists."""
    row = db.execute("select to_regclass(%s) is not null", (table,)).fetchone()
    return row is not None and bool(row[0])


def top_up(db: Connection, queued: int, users: int) -> None:
    """Fills the queues up again, the others' too."""
    row = db.execute("select waiting from public.svc_count_waiting_jobs()").fetchone()
    assert row is not None
    load(db, queued - row[0], finished=False, users=users)
    if there(db, "procrastinate_jobs"):
        db.execute(PROCRASTINATE_QUEUED, (queued,))
    if there(db, "pgmq.q_bench"):
        db.execute(PGMQ_QUEUED, (queued,))
    settle(db)


# ---- clients: each runs in a process of its own and returns (second since start, jobs) per cycle --------------------

Cycle = Callable[[], int]


def named(rows: list[Any]) -> list[dict[str, str]]:
    """Jobs and their leases as completions name them."""
    return [{"job_id": job, "lease_token": token} for job, token in rows]


def ours_sql(url: str, batch: int) -> Cycle:
    """Over a database connection."""
    db = psycopg.connect(url, autocommit=True)
    taken: list[Any] = []

    def cycle() -> int:
        done = taken.copy()
        rows = db.execute(EXCHANGE, (json.dumps(named(done)), batch, uuid.uuid4()), prepare=True)
        taken[:] = rows.fetchall()
        return len(done)

    return cycle


def ours_rest(address: str, batch: int) -> Cycle:
    """Through PostgREST; ``address`` is its URL and a token."""
    url, token = address.split()
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = {"p_worker": "bench", "p_types": [TYPE], "p_limit": batch, "p_lease_s": 3600}
    taken: list[Any] = []

    def cycle() -> int:
        done = taken.copy()
        body = json.dumps({"p_done": named(done), "p_claim_id": str(uuid.uuid4()), **asked})
        connection.request("POST", "/rpc/svc_exchange_jobs", body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(answer)
        taken[:] = [(row["job_id"], row["lease_token"]) for row in json.loads(answer)]
        return len(done)

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


def client(kind: str, address: str, batch: int, seconds: float) -> list[tuple[float, int]]:
    """Runs cycles for so long."""
    cycle = {"sql": ours_sql, "rest": ours_rest, "procrastinate": procrastinate_sql, "pgmq": pgmq_sql}[kind](
        address, batch
    )
    cycle()  # plans and connections
    began = time.monotonic()
    done = []
    while (now := time.monotonic() - began) < seconds:
        done.append((now, cycle()))
    return done


def throughput(pool: ProcessPoolExecutor, kind: str, address: str, batch: int, seconds: float) -> float:
    """Jobs per second of all clients together."""
    runs = [pool.submit(client, kind, address, batch, seconds) for _ in range(CLIENTS)]
    return sum(jobs for run in runs for _, jobs in run.result()) / seconds


# ---- lines ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One comparison; ``bound`` is what ``ratio`` may at least (or at most) be, None when it is for information."""

    name: str
    peer: float | None
    ours: float
    unit: str
    bound: float | None = None
    at_least: bool = True
    rounds: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's: the median of the rounds, where there were several."""
        if self.rounds:
            return statistics.median(self.rounds)
        return None if self.peer is None else self.ours / self.peer

    @property
    def ok(self) -> bool:
        """Within its bound."""
        if self.bound is None or self.ratio is None:
            return True
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    def __str__(self) -> str:
        peer = "-" if self.peer is None else f"{self.peer:,.1f}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        sign = ">=" if self.at_least else "<="
        bound = "-" if self.bound is None else f"{sign} {self.bound}"
        verdict = "ok" if self.ok else "FAILED"
        numbers = f"{peer:>10} {self.ours:>10,.1f} {self.unit:7} {ratio:>6} {bound:>7}"
        return f"{self.name:58} {numbers}  {verdict if self.bound else 'info'}"


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


def speeds(stack: Stack, db: Connection, pool: ProcessPoolExecutor, sizes: Sizes) -> Iterator[Line]:
    """Jobs per second beside the others."""
    url = stack.server.url("supabase_admin")
    procrastinate = load_procrastinate(db, sizes)
    pgmq = load_pgmq(db, sizes)
    load(db, sizes.finished, finished=True, users=sizes.users)
    for batch in (1, 10, 50):
        kinds = ["sql", *(["procrastinate"] if procrastinate and batch == 1 else []), *(["pgmq"] if pgmq else [])]
        # in turns, so that a busy machine is busy for all of them
        rounds = []
        for _ in range(ROUNDS):
            top_up(db, sizes.queued, sizes.users)
            rounds.append({kind: throughput(pool, kind, url, batch, sizes.seconds / ROUNDS) for kind in kinds})
        middle = {kind: statistics.median(measured[kind] for measured in rounds) for kind in kinds}
        ours = middle["sql"]
        bounds = {("procrastinate", 1): 1.5, ("pgmq", 10): 0.9}
        for peer in kinds[1:]:
            ratios = tuple(measured["sql"] / measured[peer] for measured in rounds)
            name = f"SQL, batch {batch}, beside {peer}"
            yield Line(name, middle[peer], ours, "jobs/s", bounds.get((peer, batch)), rounds=ratios)
        top_up(db, sizes.queued, sizes.users)
        rest = throughput(pool, "rest", f"{stack.rest_url} {stack.service_token}", batch, sizes.seconds)
        yield Line(f"PostgREST, batch {batch}, beside SQL", ours, rest, "jobs/s")


def load_procrastinate(db: Connection, sizes: Sizes) -> bool:
    """Its schema with as many finished and waiting jobs; False where it is not installed."""
    found = importlib.util.find_spec("procrastinate")
    if found is None or found.origin is None:
        print("procrastinate is not installed: not compared")
        return False
    db.execute((Path(found.origin).parent / "sql" / "schema.sql").read_bytes())
    db.execute("alter table procrastinate_jobs disable trigger user")
    db.execute(
        "insert into procrastinate_jobs (queue_name, task_name, args, status)"
        " select 'bench', 'task', '{\"week_id\": 1}', 'succeeded' from generate_series(1, %s)",
        (sizes.finished,),
    )
    db.execute(PROCRASTINATE_QUEUED, (sizes.queued,))
    db.execute("alter table procrastinate_jobs enable trigger user")
    return True


def load_pgmq(db: Connection, sizes: Sizes) -> bool:
    """Its SQL and a full queue; False where no file is given."""
    file = os.environ.get("PGMQ_SQL")
    if not file:
        print("PGMQ_SQL names no file: pgmq is not compared (bound: batch 10 at least 0.9 of its speed)")
        return False
    db.execute("create schema if not exists pgmq")
    db.execute(Path(file).read_bytes())
    db.execute("select pgmq.create('bench')")
    db.execute(PGMQ_QUEUED, (sizes.queued,))
    return True


def claim_p95(db: Connection, claims: int, best_of: int = 5) -> float:
    """The 95th percentile of claims of ten in milliseconds, each completed before the next; of the best round.

    A round before them, which does not count, warms plans and pages.
    """
    rounds = []
    for _ in range(1 + best_of):
        taken = []
        for _ in range(claims // 2):
            began = time.perf_counter()
            rows = db.execute(CLAIM, (10, uuid.uuid4()), prepare=True).fetchall()
            taken.append((time.perf_counter() - began) * 1000)
            db.execute(COMPLETE, (json.dumps(named(rows)),), prepare=True)
        rounds.append(statistics.quantiles(taken, n=20)[-1])
    return min(rounds[1:])


def alone(db: Connection, sizes: Sizes, users: int) -> float:
    """The p95 with nothing but a full queue."""
    empty(db)
    top_up(db, sizes.queued, users)
    return claim_p95(db, sizes.claims)


def burdens(db: Connection, sizes: Sizes) -> Iterator[Line]:
    """Claims with history, and beside a person with very many jobs; each between two measurements without.

    The better of the two is the peer, of as many rounds in all as the burden has: it may not look light because the
    machine was busy or cold before.
    """
    before = alone(db, sizes, sizes.users)
    load(db, sizes.history, finished=True, users=sizes.users)
    top_up(db, sizes.queued, sizes.users)
    history = claim_p95(db, sizes.claims, best_of=10)
    without = min(before, alone(db, sizes, sizes.users))
    name = f"claim p95 with {sizes.history:,} finished rows"
    yield Line(name, without, history, "ms", 1.15, at_least=False)
    before = alone(db, sizes, 1000)
    empty(db)
    load(db, sizes.queued, finished=False, users=1, first=10_000_000)
    db.execute("update private.job_runtime set rank = rank - interval '1 day' where state = 'admitted'")
    running = db.execute(CLAIM, (4, uuid.uuid4())).fetchall()
    assert len(running) == 4, "the noisy person is at his cap"
    load(db, sizes.queued, finished=False, users=1000)
    settle(db)
    noisy = claim_p95(db, sizes.claims, best_of=10)
    without = min(before, alone(db, sizes, 1000))
    name = f"claim p95 beside a person of {sizes.queued:,} jobs at his cap"
    yield Line(name, without, noisy, "ms", 2, at_least=False)


def held_snapshot(stack: Stack, db: Connection, pool: ProcessPoolExecutor, sizes: Sizes) -> Iterator[Line]:
    """Speed at the end of a long snapshot over the speed at its start."""
    empty(db)
    load(db, sizes.finished, finished=True, users=sizes.users)
    top_up(db, sizes.queued, sizes.users)
    url = stack.server.url("supabase_admin")
    with psycopg.connect(url) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from private.job_runtime")
        runs = [pool.submit(client, "sql", url, 1, sizes.hold) for _ in range(CLIENTS)]
        done = [entry for run in runs for entry in run.result()]
    window = min(3.0, sizes.hold / 4)
    start = sum(jobs for at, jobs in done if at < window) / window
    end = sum(jobs for at, jobs in done if at >= sizes.hold - window) / window
    yield Line(f"SQL, batch 1, after {sizes.hold:.0f} s of a held snapshot", start, end, "jobs/s", 0.5)


def work(url: str, seconds: float) -> None:
    """A worker whose jobs take ten milliseconds, two at a time."""
    db = psycopg.connect(url, autocommit=True)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows = db.execute(CLAIM, (2, uuid.uuid4()), prepare=True).fetchall()
        time.sleep(0.01)
        db.execute(COMPLETE, (json.dumps(named(rows)),), prepare=True)


def median_wait(db: Connection, url: str, pool: ProcessPoolExecutor, seconds: float) -> float:
    """What the jobs of a small user wait in the median, in milliseconds: one every 50 ms."""
    small = uuid.uuid4()
    db.execute(
        "insert into auth.users (id, aud, role, email) values (%s, 'x', 'x', %s)", (small, f"{small}@example.test")
    )
    workers = [pool.submit(work, url, seconds + 1) for _ in range(CLIENTS)]
    time.sleep(0.5)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        db.execute("select public.svc_enqueue_job('week_notes', p_user_id => %s)", (small,))
        time.sleep(0.05)
    for worker in workers:
        worker.result()
    row = db.execute(
        "select 1000 * percentile_cont(0.5) within group (order by extract(epoch from started_at - created_at)::float8)"
        " from public.jobs where user_id = %s and started_at is not null",
        (small,),
    ).fetchone()
    assert row is not None
    return float(row[0])


def flood(stack: Stack, db: Connection, pool: ProcessPoolExecutor, sizes: Sizes) -> Iterator[Line]:
    """What a small user waits beside a flooding one; in turns, so that a busy machine is busy for both."""
    url = stack.server.url("supabase_admin")
    without, beside = [], []
    for _ in range(3):
        empty(db)
        settle(db)
        without.append(median_wait(db, url, pool, sizes.seconds))
        load(db, sizes.queued, finished=False, users=1, first=10_000_000)
        settle(db)
        beside.append(median_wait(db, url, pool, sizes.seconds))
    yield Line(
        "small user's median wait beside a flooding one",
        statistics.median(without),
        statistics.median(beside),
        "ms",
        1.3,
        at_least=False,
    )


def main(argv: list[str]) -> int:
    """Prints a line per comparison; 1 when one misses its bound."""
    parser = argparse.ArgumentParser(prog="./scripts/bench jobs", description=__doc__)
    parser.add_argument("--finished", type=int, default=500_000)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=25_000, help="people the queued jobs belong to")
    parser.add_argument("--history", type=int, default=1_000_000, help="finished rows of the p95 comparison")
    parser.add_argument("--seconds", type=float, default=12.0, help="each measurement of throughput")
    parser.add_argument("--hold", type=float, default=30.0, help="seconds the snapshot is held")
    parser.add_argument("--claims", type=int, default=400, help="claims of each p95")
    parser.add_argument("--only", help="of speeds,burdens,snapshot,flood; all by default")
    chosen = parser.parse_args(argv)
    only = set((chosen.only or "speeds,burdens,snapshot,flood").split(","))
    sizes = Sizes(**{name: getattr(chosen, name) for name in Sizes.__dataclass_fields__})
    # a server that is kept: what a claim promises must survive a power cut
    settings = {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
    options = Options(without=frozenset({"functions", "worker", "model"}), postgres=settings, quiet=True)
    lines: list[Line] = []
    with (
        Stack(options) as stack,
        ProcessPoolExecutor(CLIENTS) as pool,
        psycopg.connect(stack.server.url("supabase_admin"), autocommit=True) as db,
    ):
        print(f"{'':58} {'peer':>10} {'ours':>10} {'':7} {'ratio':>6} {'bound':>7}")
        parts: dict[str, Callable[[], Iterator[Line]]] = {
            "speeds": lambda: speeds(stack, db, pool, sizes),
            "burdens": lambda: burdens(db, sizes),
            "snapshot": lambda: held_snapshot(stack, db, pool, sizes),
            "flood": lambda: flood(stack, db, pool, sizes),
        }
        for name, part in parts.items():
            if name in only:
                for line in part():
                    lines.append(line)
                    print(line, flush=True)
    failed = sum(not line.ok for line in lines)
    print(f"{len(lines) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main([]))
