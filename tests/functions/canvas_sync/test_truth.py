"""Whatever happens on the way, the rows equal what Canvas has in the end.

``SYNC_RUNS=500`` makes the random runs many (minutes), ``SYNC_SEED`` makes them others.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from functions.shared.canvas import client
from functions.shared.canvas.throttle import MAX_IN_FLIGHT
from functions.shared.database import rpc
from functions.shared.jobs import Job, JobFailure
from tests.functions.canvas_sync.conftest import Connected

Connection = psycopg.Connection[Any]

RUNS = int(os.environ.get("SYNC_RUNS", "6"))
SEED = int(os.environ.get("SYNC_SEED", "16"))
KILLS = 6
PER_PAGE = "4"
FAULTS: list[dict[str, Any]] = [
    {"kind": "throttle"},
    {"kind": "status", "status": 502, "body": "html"},
    {"kind": "drop"},
    {"kind": "slow", "seconds": 2.5},
    {"kind": "truncated"},
]
GIVE_UP_SECONDS = 2.0  # less than the slow ones take
PATIENT_SECONDS = 20.0  # more than a busy machine takes


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each course has several pages."""
    monkeypatch.setattr(client, "PER_PAGE", PER_PAGE)


def truth(connected: Connected) -> dict[int, str]:
    """Canvas ids and titles of what the person sees at Canvas."""
    world = connected.canvas.world
    with world.lock:
        return {
            row.id: row.name
            for course in world.courses_of(101)
            for row in world.assignments_of(course.id, 101)
            if row.published
        }


def stored(connected: Connected) -> dict[int, str]:
    """The same of what we have."""
    rows = connected.person.rows("assignments", status="neq.removed", select="canvas_assignment_id,title")
    return {row["canvas_assignment_id"]: row["title"] for row in rows}


def removed(connected: Connected) -> set[int]:
    """Canvas ids of what we take for gone."""
    rows = connected.person.rows("assignments", status="eq.removed", select="canvas_assignment_id")
    return {row["canvas_assignment_id"] for row in rows}


def is_first(address: str) -> bool:
    """Whether this is a list's first page."""
    return re.search(r"(?<!per_)page=", address) is None


def misbehave(connected: Connected, dice: random.Random) -> None:
    """Five of a hundred requests meet a fault."""
    world = connected.canvas.world
    world.faults.clear()
    world.switches.throttle_status = dice.choice([403, 429])
    for fault in FAULTS:
        world.add_fault(path="/api/v1/courses", share=0.05 / len(FAULTS), **fault)


def move(connected: Connected, dice: random.Random, touched: set[int]) -> None:
    """One change that a teacher makes; ``touched`` are the assignments that it takes from somebody's sight."""
    world = connected.canvas.world
    with world.lock:
        course = dice.choice([c for c in world.courses_of(101) if c.workflow_state == "available"])
        rows = world.assignments_of(course.id, 201 if 201 in course.roles else 202)
        gone = [row for row in world.assignments.values() if row.course_id == course.id and row.deleted]
        what = dice.choice(["add", "delete", "restore", "hide", "show", "turn", "assign", "rename"])
        if what == "add" or len(rows) < 3:
            world.add_assignment(course.id, position=dice.randint(1, 20))
            return
        row = dice.choice(gone) if what == "restore" and gone else dice.choice(rows)
        changes: dict[str, dict[str, Any]] = {
            "delete": {"deleted": True},
            "restore": {"deleted": False},
            "hide": {"published": False},
            "show": {"published": True, "visible_to": None},
            "turn": {"position": dice.randint(1, 20)},
            "assign": {"visible_to": {102}},
            "rename": {"name": f"Renamed {dice.randint(1, 999)}"},
        }
        world.change_assignment(row.id, **changes[what])
        if what in ("delete", "hide", "assign"):
            touched.add(row.id)


def begun(connected: Connected) -> Job:
    """A run that is claimed."""
    return connected.runner.claim(connected.start())


def whole(connected: Connected, on_check: Callable[[], None]) -> Mapping[str, Any]:
    """A run from beginning to end; its result, or that it failed because there was no list of courses."""
    job = begun(connected)
    service = connected.runner.database.service()
    lease = {"p_job_id": job.job_id, "p_lease_token": job.lease_token}
    try:
        result = connected.runner.handle(job, on_check=on_check)
    except JobFailure as failure:
        error = {"p_error_code": failure.code, "p_error_message": failure.message, "p_retryable": False}
        rpc(service, "svc_fail_job", {**lease, **error})
        return {"status": failure.code}
    assert result is not None
    done = {"job_id": job.job_id, "lease_token": job.lease_token, "result": result}
    rpc(service, "svc_complete_jobs", {"p_jobs": [done]})
    return result


def test_random_moves_and_faults_leave_no_false_tombstone(synced: Connected) -> None:
    dice = random.Random(SEED)
    random.seed(SEED)
    runner = synced.runner
    patient, hasty = (
        replace(runner.settings, canvas_give_up_seconds=seconds) for seconds in (PATIENT_SECONDS, GIVE_UP_SECONDS)
    )
    partial = false = 0
    for number in range(RUNS):
        synced.canvas.world.switches.paging = dice.choice(["numbered", "bookmark"])
        synced.canvas.world.switches.id_confirmation = dice.random() < 0.8
        misbehave(synced, dice)
        touched: set[int] = set()
        for _ in range(dice.randint(0, 4)):
            move(synced, dice, touched)
        before, moves = set(truth(synced)), dice.randint(0, 3)
        gone_before = removed(synced)
        touched.clear()

        def during(moves: list[int] = [moves], touched: set[int] = touched) -> None:  # noqa: B006 (one list a run)
            if moves[0] and dice.random() < 0.3:
                moves[0] -= 1
                move(synced, dice, touched)

        runner.settings = hasty
        result = whole(synced, during)
        partial += result["status"] != "complete"
        # what was there all the time must not be taken for gone; what came back may wait for a complete run
        false += len((before - touched) & removed(synced) - gone_before)
        assert false == 0, f"run {number} of seed {SEED}"
        if number % 5 == 4 or number == RUNS - 1:
            synced.canvas.world.faults.clear()
            runner.settings = patient
            assert synced.result()["errors"] == []
            assert stored(synced) == truth(synced), f"run {number} of seed {SEED}"
    print(f"{RUNS} runs of seed {SEED}: {partial} partial, {false} false tombstones")


def asked_pages(connected: Connected) -> dict[int, set[str]]:
    """The addresses of pages that were asked for since the journal was cleared, by course; clears it."""
    world = connected.canvas.world
    with world.lock:
        found = {course.id: world.requests(f"/{course.id}/assignments") for course in world.courses_of(101)}
        world.journal.clear()
    return {number: {entry["query"] for entry in entries} for number, entries in found.items()}


def cursors_of(connected: Connected, db: Connection) -> dict[int, dict[str, Any]]:
    """What a run left behind, by course."""
    db.rollback()
    query = (
        "select c.canvas_course_id, s.cursor from public.course_sync_state as s"
        " join public.courses as c on c.id = s.course_id where s.user_id = %s"
    )
    return dict(db.execute(query, (connected.person.user_id,)).fetchall())


@pytest.mark.parametrize("paging", ["bookmark", "numbered"])
def test_a_killed_run_goes_on_where_it_was(ann: Connected, db: Connection, paging: str) -> None:
    dice = random.Random(SEED)
    world = ann.canvas.world
    world.switches.paging = paging
    while len(world.courses_of(101)) < MAX_IN_FLIGHT // 2 + 1:
        world.add_course({101: "student"})
    for course in world.courses_of(101):
        for _ in range(30 - len(world.assignments_of(course.id, 101))):
            world.add_assignment(course.id)
    job = ann.runner.claim(ann.first_job)
    result = None
    earlier: dict[int, set[str]] = {}
    asked_pages(ann)
    for number in range(KILLS + 1):
        left = dice.randint(3, 30) if number < KILLS else -1

        def kill() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        cursors = cursors_of(ann, db)
        with contextlib.suppress(Killed):
            result = ann.runner.handle(job, on_check=kill)
        live = len(world.courses_of(101)) - sum(bool(cursor["complete_at"]) for cursor in cursors.values())
        for course_id, asked in asked_pages(ann).items():
            seen = earlier.setdefault(course_id, set())
            # one page, or a list's share of the requests where few lists are left
            assert len(asked & seen) <= max(1, MAX_IN_FLIGHT // max(live, 1))
            if course_id in cursors and cursors[course_id]["complete_at"]:
                assert not asked, "what was finished is not read again"
            seen |= asked
        if result is not None:
            break
    assert result is not None
    assert result["status"] == "complete"
    assert stored(ann) == truth(ann)
    assert removed(ann) == set()


def test_a_stale_bookmark_begins_its_course_anew(synced: Connected, db: Connection) -> None:
    job = begun(synced)
    course = synced.course(1001)
    url = f"{synced.canvas.url}/api/v1/courses/1001/assignments?page=bookmark:gone&per_page=4"
    foreign = "http://127.0.0.1:1/api/v1/courses/1002/assignments"
    for canvas_id, address in ((1001, url), (1002, foreign)):
        cursor = {"run": job.job_id, "open": [address], "shown": [1], "hidden": [], "complete_at": None}
        db.execute(
            "update public.course_sync_state set cursor = %s, last_polled_at = now() where course_id = %s",
            (Jsonb(cursor), synced.course(canvas_id)["id"]),
        )
    db.commit()
    result = synced.runner.handle(job)
    assert result is not None
    assert (result["status"], result["errors"]) == ("complete", [])
    assert stored(synced) == truth(synced)
    asked = [entry["query"] for entry in synced.canvas.world.requests("/1001/assignments")]
    assert "bookmark:gone" in asked[0] or "bookmark%3Agone" in asked[0]
    assert is_first(asked[1])
    assert course["id"] == synced.course(1001)["id"]
