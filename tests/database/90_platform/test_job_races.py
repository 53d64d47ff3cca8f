"""The queue under several sessions at once, with rows that are really committed."""

from __future__ import annotations

import functools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.support.people import persona
from tests.support.queue import claim, complete, enqueue, fail, heartbeat, job, one, release, run_out, said
from tests.support.races import Ring, ring

Connection = psycopg.Connection[Any]
# a type that no other test enqueues, and that no worker of the stack runs
TYPE = "brand_package"
ROUNDS = 30
ADD_WEEK = (
    "insert into public.weeks (user_id, week_number, start_date, end_date)"
    " values (%s, %s, '2026-11-16', '2026-11-22') returning id"
)


def forget(db_url: str) -> None:
    """Deletes the jobs of these tests."""
    with psycopg.connect(db_url) as owner:
        owner.execute("set lock_timeout = '5s'")
        owner.execute("delete from public.jobs where type = %s", (TYPE,))


@pytest.fixture
def race(db_url: str) -> Iterator[Ring]:
    """Sessions; the jobs of these tests are gone before and afterwards."""
    forget(db_url)
    with ring(db_url) as made:
        yield made
    forget(db_url)


@pytest.fixture
def people(race: Ring) -> list[uuid.UUID]:
    """Three people, really there."""
    made = [persona(race.owner) for _ in range(3)]
    for person in made:
        race.clean_up("auth.users", person)
    return made


def at_once(race: Ring, workers: int, work: Callable[[Connection, int], None]) -> None:
    """Runs ``work`` in as many sessions of their own, all starting together; raises what one of them raised."""
    start = threading.Barrier(workers, timeout=60)

    def run(number: int) -> None:
        with psycopg.connect(race.db_url, autocommit=True) as session:
            start.wait()
            work(session, number)

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(run, number) for number in range(workers)]:
            done.result(60)


def take(session: Connection, limit: int = 5, **arguments: Any) -> list[dict[str, Any]]:
    """A claim of this file's type."""
    return claim(session, limit, types=(TYPE,), **arguments)


def test_no_job_is_handed_out_twice(race: Ring) -> None:
    for _ in range(120):
        enqueue(race.owner, TYPE)
    taken: Counter[uuid.UUID] = Counter()

    def work(session: Connection, _: int) -> None:
        while claimed := take(session):
            taken.update(row["job_id"] for row in claimed)
            assert complete(session, *claimed) == [True] * len(claimed)

    at_once(race, 6, work)
    assert len(taken) == 120
    assert set(taken.values()) == {1}
    assert one(race.owner, "select count(*) from public.jobs where type = %s and status = 'succeeded'", (TYPE,)) == 120


def test_a_persons_cap_holds_at_every_moment(race: Ring, people: list[uuid.UUID]) -> None:
    for person in people:
        for _ in range(30):
            enqueue(race.owner, TYPE, user_id=person)
    over: list[tuple[Any, ...]] = []

    def work(session: Connection, number: int) -> None:
        empty = 0
        while empty < 5:
            claimed = take(session, 3)
            empty = 0 if claimed else empty + 1
            over.extend(
                session.execute(
                    "select user_id, count(*) from public.jobs where type = %s and status = 'running'"
                    " group by user_id having count(*) > 4",
                    (TYPE,),
                ).fetchall()
            )
            # every way out of running frees a slot
            for row in claimed:
                if number == 0 and row["retry_count"] == 0:
                    fail(session, row, retryable=False)
                elif number == 1:
                    release(session, row)
                    number = 2
                else:
                    complete(session, row)

    at_once(race, 6, work)
    assert over == []
    left = one(
        race.owner, "select count(*) from public.jobs where type = %s and status in ('queued', 'running')", (TYPE,)
    )
    assert left == 0, "slots were lost: jobs wait and nothing runs"


def test_two_jobs_do_not_take_the_same_last_slot(race: Ring, people: list[uuid.UUID]) -> None:
    for _ in range(3):
        enqueue(race.owner, TYPE, user_id=people[0])
    first, second = race.session(), race.session()
    enqueue(first, TYPE, user_id=people[0])
    other = race.start(second, "select created from public.svc_enqueue_job(%s, p_user_id => %s)", (TYPE, people[0]))
    race.wait_until_blocked(second)
    first.commit()
    assert other.result(10) == (True,)
    assert len(take(race.owner, 10)) == 4


def test_a_claim_asked_again_before_the_first_was_answered_gives_the_same_rows(race: Ring) -> None:
    for _ in range(4):
        enqueue(race.owner, TYPE)
    claim_id = uuid.uuid4()
    first, second = race.session(), race.session()
    taken = take(first, 2, claim_id=claim_id)
    again = race.start(
        second,
        "select array_agg(job_id order by job_id) from public.svc_claim_jobs('b', array[%s], 2, 60, %s)",
        (TYPE, claim_id),
    )
    race.wait_until_blocked(second)
    first.commit()
    assert again.result(10)[0] == sorted(row["job_id"] for row in taken)
    assert one(race.owner, "select count(*) from public.jobs where type = %s and status = 'running'", (TYPE,)) == 2


def test_a_claim_passes_by_jobs_that_another_is_taking(race: Ring) -> None:
    for _ in range(2):
        enqueue(race.owner, TYPE)
    first, second = race.session(), race.session()
    [one_job] = take(first, 1)
    second.execute("set lock_timeout = '2s'")
    [other] = take(second, 2)
    assert one_job["job_id"] != other["job_id"]


def test_cancelling_waits_for_a_claim_and_then_asks_the_worker(race: Ring, people: list[uuid.UUID]) -> None:
    made = enqueue(race.owner, TYPE, user_id=people[0])
    claimer, owner = race.session(), race.session()
    [claimed] = take(claimer)
    claims = json.dumps({"sub": str(people[0]), "role": "authenticated"})
    owner.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
    answer = race.start(owner, "select status, cancel_requested from public.cancel_job(%s)", (made.job_id,))
    race.wait_until_blocked(owner)
    claimer.commit()
    assert answer.result(10) == ("running", True)
    assert heartbeat(race.owner, claimed) == ["cancel"]


def test_a_claim_leaves_alone_what_is_being_deleted(race: Ring, people: list[uuid.UUID]) -> None:
    enqueue(race.owner, TYPE, user_id=people[0])
    stays = enqueue(race.owner, TYPE, user_id=people[1])
    deleter, claimer = race.session(), race.session()
    deleter.execute("delete from public.profiles where user_id = %s", (people[0],))
    claimer.execute("set lock_timeout = '2s'")
    assert [row["job_id"] for row in take(claimer)] == [stays.job_id]
    claimer.commit()
    deleter.rollback()


def test_a_deletion_waits_for_a_completion(race: Ring, people: list[uuid.UUID]) -> None:
    enqueue(race.owner, TYPE, user_id=people[0])
    taken = take(race.owner)
    worker, deleter = race.session(), race.session()
    assert complete(worker, *taken) == [True]
    gone = race.start(deleter, "delete from public.profiles where user_id = %s returning true", (people[0],))
    race.wait_until_blocked(deleter)
    worker.commit()
    assert gone.result(10) == (True,)
    deleter.commit()
    assert one(race.owner, "select count(*) from public.jobs where user_id = %s", (people[0],)) == 0


@pytest.mark.parametrize("what", ["person", "week"])
def test_a_completion_waits_for_a_deletion(race: Ring, people: list[uuid.UUID], what: str) -> None:
    week = one(race.owner, ADD_WEEK, (people[0], 1))
    enqueue(race.owner, TYPE, user_id=people[0], week_id=week)
    taken = take(race.owner)
    worker, deleter = race.session(), race.session()
    if what == "week":
        deleter.execute("delete from public.weeks where id = %s", (week,))
    else:
        deleter.execute("delete from public.profiles where user_id = %s", (people[0],))
    answer = race.start(worker, "select done from public.svc_complete_jobs(%s)", (said(*taken),))
    race.wait_until_blocked(worker)
    deleter.commit()
    assert answer.result(10) == (False,)
    assert heartbeat(race.owner, *taken) == ["gone"]


def in_order(taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By id, as completions lock them."""
    return sorted(taken, key=lambda row: row["job_id"])


def hand_in(race: Ring, session: Connection, *taken: dict[str, Any]) -> Any:
    """Completes in the background; whether all of them were done."""
    return race.start(session, "select bool_and(done) from public.svc_complete_jobs(%s)", (said(*taken),))


@pytest.mark.parametrize("what", ["person", "weeks"])
def test_deletions_and_completions_of_several_jobs_wait_in_one_order(
    race: Ring, people: list[uuid.UUID], what: str
) -> None:
    weeks = [one(race.owner, ADD_WEEK, (people[0], number)) for number in (1, 2, 3) if what == "weeks"]
    for _ in range(3):
        enqueue(race.owner, TYPE, user_id=people[0])
    taken = in_order(take(race.owner))
    # the cascades meet them in the order of their rows: the other way round
    for number, row in enumerate(reversed(taken)):
        race.owner.execute(
            "update public.jobs set created_at = '2026-01-01', week_id = %s where id = %s",
            (weeks[number] if weeks else None, row["job_id"]),
        )
    holder, worker, deleter = race.session(), race.session(), race.session()
    holder.execute("select from public.jobs where id = %s for update", (taken[1]["job_id"],))
    done = hand_in(race, worker, *taken)
    race.wait_until_blocked(worker)
    table = "public.weeks" if what == "weeks" else "public.profiles"
    gone = race.start(deleter, f"delete from {table} where user_id = %s returning true", (people[0],))
    race.wait_until_blocked(deleter)
    holder.commit()
    assert done.result(10) == (True,)
    gone.result(10)


def test_a_release_and_a_completion_wait_in_one_order(race: Ring, people: list[uuid.UUID]) -> None:
    """Both end jobs of the same two people: slots are locked in one order, whatever the order of the jobs."""
    first, second = sorted(people[:2])
    for person in (first, second):
        for _ in range(6):
            enqueue(race.owner, TYPE, user_id=person)
    taken = take(race.owner, 8)
    mine = {person: [row for row in taken if row["user_id"] == person] for person in (first, second)}
    holder, worker, other = race.session(), race.session(), race.session()
    holder.execute("select private.fill_slots(array[%s])", (first,))
    done = hand_in(race, worker, mine[second][1], mine[first][1])
    race.wait_until_blocked(worker)
    released = race.start(other, "select public.svc_release_jobs(%s)", (said(mine[second][0], mine[first][0]),))
    race.wait_until_blocked(other)
    holder.commit()
    assert (done.result(10), released.result(10)) == ((True,), (2,))


def test_forgetting_old_jobs_lets_their_owner_try_one_again(race: Ring, people: list[uuid.UUID]) -> None:
    for _ in range(2):
        enqueue(race.owner, TYPE, user_id=people[0])
    for row in take(race.owner):
        fail(race.owner, row, retryable=False)
    race.owner.execute(
        "update public.jobs set completed_at = now() - interval '100 days' where user_id = %s", (people[0],)
    )
    kept = one(race.owner, "select min(id::text)::uuid from public.jobs where type = %s", (TYPE,))
    again, purge = race.session(), race.session()
    again.execute("select private.requeue_job(%s)", (kept,))
    purge.execute("set lock_timeout = '2s'")
    assert one(purge, "select private.purge_jobs()") == 1
    purge.commit()
    again.commit()
    assert one(race.owner, "select id from public.jobs where type = %s and status = 'queued'", (TYPE,)) == kept


def test_a_job_joined_in_mode_queued_begins_after_the_change_it_stands_for(race: Ring) -> None:
    made = enqueue(race.owner, TYPE, dedupe_key="reads")
    changes = race.session()
    race.owner.execute("set lock_timeout = '2s'")
    assert enqueue(changes, TYPE, dedupe_key="reads", dedupe_mode="queued") == (made.job_id, False)
    assert take(race.owner) == []
    changes.commit()
    assert [row["job_id"] for row in take(race.owner)] == [made.job_id]


def test_a_job_that_is_just_being_claimed_is_not_joined_in_mode_queued(race: Ring) -> None:
    made = enqueue(race.owner, TYPE, dedupe_key="reads")
    claims, asks = race.session(), race.session()
    take(claims)
    answer = race.start(
        asks,
        "select job_id, created from public.svc_enqueue_job(%s, p_dedupe_key => 'reads', p_dedupe_mode => 'queued')",
        (TYPE,),
    )
    race.wait_until_blocked(asks)
    claims.commit()
    job_id, created = answer.result(10)
    assert created
    assert job_id != made.job_id


def test_asking_again_for_a_waiting_job_leaves_it_its_slot(race: Ring, people: list[uuid.UUID]) -> None:
    race.owner.execute("insert into private.job_caps (user_id, slots) values (%s, 1)", (people[0],))
    enqueue(race.owner, TYPE, user_id=people[0])
    taken = take(race.owner)
    waits = enqueue(race.owner, TYPE, user_id=people[0], dedupe_key="waits")
    asks = race.session()
    assert enqueue(asks, TYPE, user_id=people[0], dedupe_key="waits", dedupe_mode="queued") == (waits.job_id, False)
    assert complete(race.owner, *taken) == [True]
    asks.commit()
    assert [row["job_id"] for row in take(race.owner)] == [waits.job_id]


def test_a_deletion_and_a_request_for_the_same_work_wait_in_one_order(race: Ring, people: list[uuid.UUID]) -> None:
    enqueue(race.owner, TYPE, user_id=people[0], dedupe_key="goes")
    [taken] = take(race.owner)
    holder, asks, deleter = race.session(), race.session(), race.session()
    holder.execute("select from public.jobs where id = %s for update", (taken["job_id"],))
    made = race.start(
        asks,
        "select created from public.svc_enqueue_job("
        " %s, p_user_id => %s, p_dedupe_key => 'goes', p_dedupe_mode => 'queued')",
        (TYPE, people[0]),
    )
    race.wait_until_blocked(asks)
    gone = race.start(deleter, "delete from public.profiles where user_id = %s returning true", (people[0],))
    race.wait_until_blocked(deleter)
    holder.commit()
    assert made.result(10) == (True,)
    gone.result(10)


@pytest.mark.parametrize("what", ["people", "weeks"])
def test_deletions_across_completions_never_fail(race: Ring, what: str) -> None:
    """Many rounds: one session completes a person's jobs while another deletes the person, or all their weeks."""
    for _ in range(ROUNDS):
        person = persona(race.owner)
        race.clean_up("auth.users", person)
        race.owner.execute("insert into private.job_caps (user_id, slots) values (%s, 100)", (person,))
        weeks = [one(race.owner, ADD_WEEK, (person, number)) for number in (1, 2, 3)]
        race.owner.execute(
            "select count(*) from generate_series(1, 30) as n, lateral public.svc_enqueue_job("
            " %s, p_user_id => %s, p_week_id => (%s::uuid[])[1 + n %% 3])",
            (TYPE, person, weeks if what == "weeks" else []),
        )
        taken = take(race.owner, 100)
        assert len(taken) == 30

        def work(session: Connection, number: int, *, person: uuid.UUID, taken: list[Any]) -> None:
            if number == 0:
                table = "public.profiles" if what == "people" else "public.weeks"
                session.execute(f"delete from {table} where user_id = %s".encode(), (person,))
            else:
                complete(session, *taken)

        at_once(race, 2, functools.partial(work, person=person, taken=taken))
        assert one(race.owner, "select count(*) from public.jobs where user_id = %s", (person,)) == 0
        assert heartbeat(race.owner, *taken) == ["gone"] * 30


def test_the_same_key_makes_one_job(race: Ring) -> None:
    made: list[tuple[uuid.UUID, bool]] = []

    def work(session: Connection, number: int) -> None:
        mode = "join" if number % 2 else "queued"
        for turn in range(10):
            made.append(enqueue(session, TYPE, dedupe_key=f"race:{turn}", dedupe_mode=mode))

    at_once(race, 6, work)
    assert sum(created for _, created in made) == 10
    assert len({job_id for job_id, _ in made}) == 10


def test_one_of_many_leases_ends_the_job(race: Ring) -> None:
    made = enqueue(race.owner, TYPE, max_retries=10)
    leases = []
    for _ in range(5):
        [claimed] = take(race.owner)
        leases.append(claimed)
        run_out(race.owner, claimed)
    done: list[bool] = []

    def work(session: Connection, number: int) -> None:
        done.extend(complete(session, leases[number], result={"by": number}))

    at_once(race, 5, work)
    assert sorted(done) == [False] * 4 + [True]
    assert job(race.owner, made.job_id)["result"] == {"by": 4}


def test_everything_at_once_ends_without_a_deadlock(race: Ring, people: list[uuid.UUID]) -> None:
    for turn in range(60):
        enqueue(race.owner, TYPE, user_id=people[turn % 3], max_retries=50)

    def work(session: Connection, number: int) -> None:
        for turn in range(12):
            claimed = take(session, 4)
            if number == 0:
                run_out(session, *claimed)
                session.execute("select public.svc_reap_expired_jobs()")
            elif number == 1:
                release(session, *reversed(claimed))
            elif number == 2:
                for row in claimed:
                    fail(session, row)
            else:
                complete(session, *reversed(claimed))
            enqueue(session, TYPE, user_id=people[turn % 3], priority=number)

    at_once(race, 6, work)
    assert one(race.owner, "select count(*) from public.jobs where type = %s and status = 'succeeded'", (TYPE,)) > 0
