"""``./scripts/bench canvas-sync``: a full sync with its writes beside two clients that only fetch.

All ask the same stand-in, a process of its own that answers after 150 ms, up to 30 % less or more, and throttles as
Canvas does. canvasapi is Canvas's usual client for Python. The lean loop is httpx, one request after another, and JSON.
Ours is the handler of the job: it fetches, cleans and hashes descriptions, and writes the rows. The three take turns.
Then one sync finds nothing new, and another one changed assignment. The processor time of one run of ours, by process,
says what bounds it, and on a busy machine more than the times.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import canvasapi  # type: ignore[import-untyped]
import httpx
import psutil
import psycopg

from functions.shared.canvas import oauth
from functions.shared.clock import SystemClock
from scripts.native.stack import Options, Stack
from tests.standins.canvas import PLAIN, register_connection
from tests.support.canvas import Runner, Student, connect, student

Connection = psycopg.Connection[Any]

SHAPES = {"40x60": (40, 60), "6x900": (6, 900)}
PER_PAGE = 100
MAX_OF_CANVASAPI, MAX_OF_LEAN, MAX_REQUESTS = 1 / 12, 1 / 4, 1.05


@dataclass
class School:
    """The stand-in's process as this one sees it."""

    url: str
    control: httpx.Client = field(repr=False)

    def token(self) -> str:
        """A new access token of the student, whose bucket is empty."""
        person = {"person_id": 101, "scopes": list(oauth.SCOPES)}
        return str(self.control.post("/_control/tokens", json=person).raise_for_status().json()["access_token"])

    def counted(self, call: Callable[[], object]) -> tuple[float, int, int]:
        """Seconds, requests and refusals of a call."""
        self.control.delete("/_control/requests").raise_for_status()
        began = time.perf_counter()
        call()
        seconds = time.perf_counter() - began
        seen = self.control.get("/_control/requests", params={"path": "/api/v1/"}).raise_for_status().json()
        return seconds, len(seen), sum(bool(entry.get("throttled")) for entry in seen)


def processor_seconds() -> Counter[str]:
    """Processor time so far of this process, which runs ours, and of those that it started, by their names."""
    spent = Counter({"ours": time.process_time()})
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times, command = process.cpu_times(), " ".join(process.cmdline())
            known = next((name for name in ("_canvas_school", "gateway", "postgrest") if name in command), None)
            spent[known or process.name()] += sum(times[:4])
    return spent


@contextmanager
def school(courses: int, assignments: int, paging: str) -> Iterator[School]:
    """Runs a stand-in with these courses."""
    command = [sys.executable, "-m", "scripts.benchmarks._canvas_school", str(courses), str(assignments), paging]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        url = process.stdout.readline().strip()
        with httpx.Client(base_url=url, timeout=60, verify=PLAIN, trust_env=False) as control:
            yield School(url, control)
        process.stdin.close()


def with_canvasapi(url: str, token: str) -> int:
    """How many assignments canvasapi fetches, in the way of its manual."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for https
        client = canvasapi.Canvas(url, token)
        courses = list(client.get_courses(enrollment_state="active", include=["term"]))
        return sum(len(list(course.get_assignments(include=["submission"]))) for course in courses)


def with_lean_loop(url: str, token: str) -> int:
    """How many assignments a loop over httpx fetches."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "bench"}
    with httpx.Client(headers=headers, timeout=60, verify=PLAIN, trust_env=False) as client:

        def listed(address: str) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = []
            following: str | None = address
            while following:
                answer = client.get(following).raise_for_status()
                rows += answer.json()
                following = answer.links.get("next", {}).get("url")
            return rows

        courses = listed(f"{url}/api/v1/courses?enrollment_state=active&include[]=term&per_page={PER_PAGE}")
        path = f"assignments?include[]=submission&per_page={PER_PAGE}"
        return sum(len(listed(f"{url}/api/v1/courses/{course['id']}/{path}")) for course in courses)


@dataclass
class Ours:
    """A connected student, whose sync is run by this process as the worker would."""

    person: Student
    runner: Runner
    db: Connection

    def sync(self) -> dict[str, Any]:
        """One run of the job's handler; its result."""
        answer = self.person.functions.post("/canvas-sync/runs", json={}).raise_for_status()
        job = self.runner.claim(answer.json()["job_id"])
        result = dict(self.runner.handle(job, clock=SystemClock()) or {})
        lease = [{"job_id": job.job_id, "lease_token": job.lease_token, "result": result}]
        self.db.execute("select public.svc_complete_jobs(%s)", (json.dumps(lease),))
        return result

    def forget(self) -> None:
        """As before the first sync."""
        self.db.execute("delete from public.courses where user_id = %s", (self.person.user_id,))

    def written(self, call: Callable[[], object]) -> int:
        """How many rows of courses and assignments a call writes."""
        versions = (
            "select id, xmin::text from public.courses where user_id = %(u)s"
            " union all select id, xmin::text from public.assignments where user_id = %(u)s"
        )
        before = set(self.db.execute(versions, {"u": self.person.user_id}).fetchall())
        call()
        return len(set(self.db.execute(versions, {"u": self.person.user_id}).fetchall()) - before)


@contextmanager
def ours(stack: Stack, place: School) -> Iterator[Ours]:
    """A new person, connected to the stand-in; nothing is synced yet."""
    domain = place.url.removeprefix("http://")
    connection_id = register_connection(domain, stack.rest_url, stack.service_token, stack.functions_url)
    runner = Runner(stack.service_environment())
    with student(stack) as person, psycopg.connect(stack.db_url, autocommit=True) as db:
        try:
            first = connect(stack, person, connection_id)["job_id"]
            db.execute("delete from public.jobs where id = %s", (first,))
            yield Ours(person, runner, db)
        finally:
            runner.close()


def measured(stack: Stack, shape: str, rounds: int, paging: str) -> bool:
    """Prints the table of one shape; whether all bounds are met."""
    courses, assignments = SHAPES[shape]
    fewest = -(-courses // PER_PAGE) + courses * -(-assignments // PER_PAGE)
    times: dict[str, list[float]] = {"canvasapi": [], "lean loop": [], "ours": []}
    requests: list[int] = []
    refusals = 0
    spent: Counter[str] = Counter()
    with school(courses, assignments, paging) as place, ours(stack, place) as sync:
        for _ in range(rounds):
            for name, fetch in (("canvasapi", with_canvasapi), ("lean loop", with_lean_loop)):
                seconds, _, refused = place.counted(partial(fetch, place.url, place.token()))
                refusals += refused
                times[name].append(seconds)
            sync.forget()
            before = processor_seconds()
            seconds, sent, refused = place.counted(sync.sync)
            spent += processor_seconds() - before
            times["ours"].append(seconds)
            requests.append(sent)
            refusals += refused
        unchanged = sync.written(sync.sync)
        place.control.patch(f"/_control/assignments/{100_001}", json={"name": "Changed"}).raise_for_status()
        changed = sync.written(sync.sync)
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"{shape}, pages by {paging}, {rounds} rounds: " + ", ".join(f"{n} {s:.2f} s" for n, s in middle.items()))
    of_canvasapi, of_lean = middle["ours"] / middle["canvasapi"], middle["ours"] / middle["lean loop"]
    most = max(requests)
    print(
        f"  ours is 1/{1 / of_canvasapi:.1f} of canvasapi (bound 1/12) and 1/{1 / of_lean:.1f} of the lean loop"
        f" (bound 1/4); {most} requests of at least {fewest}, {refusals} refused;"
        f" rows written without news {unchanged}, after one change {changed}",
        flush=True,
    )
    parts = ", ".join(f"{name} {seconds / rounds:.2f}" for name, seconds in spent.most_common() if seconds >= 0.05)
    print(f"  processor seconds of one run of ours: {parts}", flush=True)
    is_fast = of_canvasapi <= MAX_OF_CANVASAPI and of_lean <= MAX_OF_LEAN
    return is_fast and most <= MAX_REQUESTS * fewest and not refusals and (unchanged, changed) == (0, 1)


def main(argv: Sequence[str]) -> int:
    """Prints both shapes; 1 when a bound is missed."""
    parser = argparse.ArgumentParser(prog="./scripts/bench canvas-sync", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", default="40x60,6x900", help="comma separated")
    parser.add_argument("--paging", default="numbered", choices=["numbered", "bookmark"], help="of the stand-in")
    given = parser.parse_args(argv)
    logging.getLogger("canvasapi").setLevel(logging.WARNING)
    with Stack(Options(without=frozenset({"worker", "model"}), quiet=True)) as stack:
        met = [measured(stack, shape, given.rounds, given.paging) for shape in given.shapes.split(",")]
    return int(not all(met))


if __name__ == "__main__":
    raise SystemExit(main([]))
