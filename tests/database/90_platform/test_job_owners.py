"""The queue as people see it: their rows, cancelling, trying again, slots, and what goes with them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.queue import claim, complete, enqueue, fail, heartbeat, job, one, reap, release, rows, run_out, state

Connection = psycopg.Connection[Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(db: Connection) -> None:
    """Time stands still, and no other test's job is in the way."""
    freeze(db, NOON.isoformat())
    db.execute("delete from public.jobs")


def seen(db: Connection) -> set[uuid.UUID]:
    """The jobs that the current caller sees."""
    return {row["id"] for row in rows(db, "select id from public.jobs")}


# ---- rows ------------------------------------------------------------------------------------------------------


def test_people_see_their_own_jobs_and_staff_all(db: Connection) -> None:
    ann, ben, staff = persona(db), persona(db), persona(db, "admin")
    anns, bens = enqueue(db, user_id=ann).job_id, enqueue(db, user_id=ben).job_id
    systems = enqueue(db).job_id
    with act_as(db, ann):
        assert seen(db) == {anns}
    with act_as(db, ben):
        assert seen(db) == {bens}
    with act_as(db, staff, "app_admin"):
        assert seen(db) == {anns, bens, systems}
    with act_as(db, ann, is_anonymous=True):
        assert seen(db) == set()
    with act_as(db, None, "anon"):
        refused(db, "42501", "select from public.jobs")


def test_the_row_holds_nothing_of_the_workers(db: Connection) -> None:
    ann = persona(db)
    enqueue(db, user_id=ann, payload={"secret": "s"})
    claim(db)
    columns = set(rows(db, "select * from public.jobs")[0])
    assert not columns & {"payload", "lease_token", "claim_id", "locked_by", "locked_until", "error_detail"}
    with act_as(db, ann):
        refused(db, "42501", "select from private.job_runtime")


def test_nobody_writes_jobs_by_the_table(db: Connection) -> None:
    ann = persona(db)
    mine = enqueue(db, user_id=ann).job_id
    for role in ("authenticated", "app_admin"):
        with act_as(db, ann, role):
            refused(db, "42501", "insert into public.jobs (type, user_id) values ('headstart', %s)", (ann,))
            refused(db, "42501", "update public.jobs set priority = 99 where id = %s", (mine,))
            refused(db, "42501", "delete from public.jobs where id = %s", (mine,))


# ---- cancelling ------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once(db: Connection) -> None:
    ann = persona(db)
    made = enqueue(db, user_id=ann, dedupe_key="k")
    with act_as(db, ann):
        [row] = rows(db, "select * from public.cancel_job(%s)", (made.job_id,))
        assert (row["id"], row["status"], row["completed_at"]) == (made.job_id, "cancelled", NOON)
        refused(db, "PT409", "select public.cancel_job(%s)", (made.job_id,))
    assert state(db, made.job_id) == "over"
    assert claim(db) == []
    assert enqueue(db, dedupe_key="k").created


@pytest.mark.parametrize("worker", ["obeys", "finishes", "crashes"])
def test_a_running_job_is_cancelled_by_its_worker(db: Connection, worker: str) -> None:
    ann = persona(db)
    made = enqueue(db, user_id=ann)
    [claimed] = claim(db)
    with act_as(db, ann):
        [row] = rows(db, "select * from public.cancel_job(%s)", (made.job_id,))
        assert (row["status"], row["cancel_requested"]) == ("running", True)
        [again] = rows(db, "select * from public.cancel_job(%s)", (made.job_id,))
        assert again["status"] == "running"
    assert heartbeat(db, claimed) == ["cancel"]
    if worker == "obeys":
        assert fail(db, claimed, code="cancelled", retryable=False) == {"status": "cancelled", "scheduled_at": NOON}
    elif worker == "finishes":
        assert complete(db, claimed) == [True]
    else:
        run_out(db, claimed)
        assert claim(db) == []
    assert job(db, made.job_id)["status"] == ("succeeded" if worker == "finishes" else "cancelled")
    assert job(db, made.job_id)["completed_at"] == NOON


@pytest.mark.parametrize("call", ["cancel_job", "retry_job"])
def test_other_peoples_jobs_do_not_exist(db: Connection, call: str) -> None:
    ann, ben, staff = persona(db), persona(db), persona(db, "admin")
    made = enqueue(db, user_id=ann)
    systems = enqueue(db)
    for who, role in ((ben, "authenticated"), (staff, "app_admin")):
        with act_as(db, who, role):
            for job_id in (made.job_id, systems.job_id, uuid.uuid4()):
                refused(db, "PT404", f"select public.{call}(%s)", (job_id,))
            refused(db, "22004", f"select public.{call}(null)")
    with act_as(db, None, "anon"):
        refused(db, "42501", f"select public.{call}(%s)", (made.job_id,))


# ---- trying again ----------------------------------------------------------------------------------------------


def test_the_owner_tries_a_failed_job_again_from_the_start(db: Connection) -> None:
    ann = persona(db)
    made = enqueue(db, user_id=ann, max_retries=1, payload={"n": 1})
    run_out(db, *claim(db))
    fail(db, claim(db)[0])
    assert (job(db, made.job_id)["status"], job(db, made.job_id)["retry_count"]) == ("failed", 1)
    freeze(db, (NOON + timedelta(hours=1)).isoformat())
    with act_as(db, ann):
        [row] = rows(db, "select * from public.retry_job(%s)", (made.job_id,))
    assert (row["status"], row["retry_count"], row["error_code"]) == ("queued", 0, None)
    assert (row["completed_at"], row["scheduled_at"]) == (None, NOON + timedelta(hours=1))
    [claimed] = claim(db)
    assert (claimed["job_id"], claimed["payload"], claimed["retry_count"]) == (made.job_id, {"n": 1}, 0)


@pytest.mark.parametrize("status", ["queued", "running", "succeeded", "cancelled"])
def test_only_a_failed_job_is_tried_again(db: Connection, status: str) -> None:
    ann = persona(db)
    made = enqueue(db, user_id=ann)
    if status in ("running", "succeeded"):
        claimed = claim(db)
    if status == "succeeded":
        complete(db, *claimed)
    with act_as(db, ann):
        if status == "cancelled":
            db.execute("select public.cancel_job(%s)", (made.job_id,))
        assert job(db, made.job_id)["status"] == status
        refused(db, "PT409", "select public.retry_job(%s)", (made.job_id,))


def test_a_failed_job_whose_work_is_under_way_again_stays(db: Connection) -> None:
    ann = persona(db)
    made = enqueue(db, user_id=ann, dedupe_key="k")
    fail(db, claim(db)[0], retryable=False)
    assert enqueue(db, user_id=ann, dedupe_key="k").created
    with act_as(db, ann):
        refused(db, "PT409", "select public.retry_job(%s)", (made.job_id,))
    assert job(db, made.job_id)["status"] == "failed"


# ---- slots -----------------------------------------------------------------------------------------------------


def test_a_person_has_four_slots_and_the_next_job_waits_for_one(db: Connection) -> None:
    ann = persona(db)
    for _ in range(6):
        enqueue(db, user_id=ann)
    running = claim(db, 100)
    assert len(running) == 4
    assert claim(db) == []
    complete(db, running[0])
    [fifth] = claim(db)
    fail(db, running[1])
    [sixth] = claim(db)
    assert claim(db) == []
    release(db, fifth)
    assert [row["job_id"] for row in claim(db)] == [fifth["job_id"]]
    assert heartbeat(db, sixth) == ["held"]


def test_slots_may_be_set_for_a_person(db: Connection) -> None:
    ann, ben = persona(db), persona(db)
    db.execute("insert into private.job_caps values (%s, 1), (%s, 6)", (ann, ben))
    for who in (ann, ben):
        for _ in range(7):
            enqueue(db, user_id=who)
    running = [row["user_id"] for row in claim(db, 100)]
    assert (running.count(ann), running.count(ben)) == (1, 6)


def test_the_most_urgent_job_of_a_person_gets_their_slot(db: Connection) -> None:
    ann = persona(db)
    ordinary = [enqueue(db, user_id=ann).job_id for _ in range(4)]
    urgent = enqueue(db, user_id=ann, priority=5).job_id
    lowly = enqueue(db, user_id=ann, priority=-5).job_id
    first = claim(db, 100)
    assert first[0]["job_id"] == urgent
    assert {row["job_id"] for row in first[1:]} < set(ordinary)
    complete(db, *first)
    assert [row["job_id"] for row in claim(db, 100)] == [*(set(ordinary) - {r["job_id"] for r in first}), lowly]


def test_a_flood_of_one_does_not_stand_before_others(db: Connection) -> None:
    flood, small = persona(db), persona(db)
    for _ in range(300):
        enqueue(db, user_id=flood)
    freeze(db, (NOON + timedelta(minutes=1)).isoformat())
    mine = enqueue(db, user_id=small).job_id
    assert mine in [row["job_id"] for row in claim(db, 5)]


def test_a_slot_that_was_left_over_is_given_away_by_the_sweep(db: Connection) -> None:
    people = [persona(db) for _ in range(3)]
    for person in people:
        enqueue(db, user_id=person)
    db.execute("update private.job_runtime set state = 'waiting'")
    assert claim(db) == []
    reap(db)
    assert {row["user_id"] for row in claim(db)} == set(people)


def test_a_job_that_comes_due_competes_for_the_slots(db: Connection) -> None:
    ann = persona(db)
    urgent = enqueue(db, user_id=ann, priority=5, scheduled_at=NOON + timedelta(minutes=1)).job_id
    for _ in range(5):
        enqueue(db, user_id=ann)
    freeze(db, (NOON + timedelta(minutes=1)).isoformat())
    assert claim(db, 5)[0]["job_id"] == urgent


def test_jobs_of_the_system_have_no_cap(db: Connection) -> None:
    for _ in range(30):
        enqueue(db)
    assert len(claim(db, 100)) == 30


# ---- going with a person or week -------------------------------------------------------------------------------


def test_jobs_go_with_their_week_and_free_their_slots(db: Connection) -> None:
    ann = persona(db)
    week = one(
        db,
        "insert into public.weeks (user_id, week_number, start_date, end_date)"
        " values (%s, 1, '2026-03-02', '2026-03-08') returning id",
        (ann,),
    )
    with_week = [enqueue(db, user_id=ann, week_id=week) for _ in range(5)]
    without = enqueue(db, user_id=ann)
    running = claim(db, 100)
    assert len(running) == 4
    assert state(db, without.job_id) == "waiting"
    db.execute("delete from public.weeks where id = %s", (week,))
    assert heartbeat(db, *running) == ["gone"] * 4
    assert complete(db, *running) == [False] * 4
    for lost in running:
        assert fail(db, lost) is None
    ids = [made.job_id for made in with_week]
    assert one(db, "select count(*) from public.jobs where id = any (%s)", (ids,)) == 0
    assert one(db, "select count(*) from private.job_runtime where job_id = any (%s)", (ids,)) == 0
    # the slots are free again
    assert [row["job_id"] for row in claim(db)] == [without.job_id]


def test_jobs_go_with_their_person(db: Connection) -> None:
    ann = persona(db)
    for _ in range(6):
        enqueue(db, user_id=ann)
    running = claim(db, 2)
    db.execute("delete from auth.users where id = %s", (ann,))
    assert heartbeat(db, *running) == ["gone", "gone"]
    assert claim(db) == []
    for table in ("public.jobs", "private.job_runtime"):
        assert one(db, f"select count(*) from {table}") == 0
