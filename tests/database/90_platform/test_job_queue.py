"""The queue as workers use it: enqueue, claim, heartbeat, complete, fail, release, reap."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.people import become, freeze, persona, refused
from tests.support.queue import (
    TYPE,
    claim,
    complete,
    enqueue,
    exchange,
    fail,
    heartbeat,
    job,
    one,
    reap,
    release,
    rows,
    run_out,
    said,
    waiting,
)

Connection = psycopg.Connection[Any]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon(db: Connection) -> None:
    """Time stands still, and no other test's job is in the way."""
    freeze(db, NOON.isoformat())
    db.execute("delete from public.jobs")


# ---- enqueue ---------------------------------------------------------------------------------------------------


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


# ---- claim -----------------------------------------------------------------------------------------------------


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
    assert waiting(db, made.job_id) is None
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


def test_claims_are_forgotten_when_their_jobs_are_over(db: Connection) -> None:
    for _ in range(3):
        enqueue(db)
    done, running = claim(db, 1), claim(db, 2, claim_id=uuid.uuid4())
    complete(db, *done)
    complete(db, running[0])
    reap(db)
    assert rows(db, "select job_ids from private.job_claims") == [{"job_ids": [row["job_id"] for row in running]}]
    complete(db, running[1])
    reap(db)
    assert one(db, "select count(*) from private.job_claims") == 0


def test_a_front_that_is_wrong_hides_no_job(db: Connection) -> None:
    made = enqueue(db)
    db.execute("select private.set_front(now() + interval '1 year')")
    assert [row["job_id"] for row in claim(db)] == [made.job_id]


def test_ids_of_jobs_begin_with_the_time(db: Connection) -> None:
    made = [enqueue(db).job_id for _ in range(3)]
    assert {(job_id.version, job_id.variant) for job_id in made} == {(7, uuid.RFC_4122)}
    ages = [datetime.now(UTC).timestamp() - (job_id.int >> 80) / 1000 for job_id in made]
    assert max(ages) < 60
    assert min(ages) > -60


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


def test_jobs_of_equal_rank_are_handed_out_in_one_order(db: Connection) -> None:
    ids = [enqueue(db).job_id for _ in range(20)]
    assert [claim(db, 1)[0]["job_id"] for _ in range(20)] == sorted(ids)


# ---- heartbeat -------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("call", ["svc_heartbeat_jobs", "svc_complete_jobs", "svc_release_jobs"])
def test_lists_of_jobs_are_lists(db: Connection, call: str) -> None:
    refused(db, "22004", f"select public.{call}(null)")
    refused(db, "22023", f"select public.{call}('{{}}')")
    for row in rows(db, f"select public.{call}('[]') as answer"):
        assert row["answer"] == 0


# ---- complete --------------------------------------------------------------------------------------------------


def test_a_completion_stores_the_result_and_may_be_said_twice(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db)
    assert complete(db, claimed, result={"n": 1}) == [True]
    row = job(db, made.job_id)
    assert (row["status"], row["result"], row["completed_at"]) == ("succeeded", {"n": 1}, NOON)
    assert complete(db, claimed, result={"n": 2}) == [True]
    assert job(db, made.job_id)["result"] == {"n": 1}


def test_no_result_is_null(db: Connection) -> None:
    made = enqueue(db)
    complete(db, *claim(db), result=None)
    assert one(db, "select result is null from public.jobs where id = %s", (made.job_id,))


def test_only_the_lease_ends_a_job(db: Connection) -> None:
    made = enqueue(db)
    [first] = claim(db)
    run_out(db, first)
    [second] = claim(db)
    assert complete(db, first, result={"from": "first"}) == [False]
    assert fail(db, first) is None
    assert release(db, first) == 0
    assert heartbeat(db, first, progress={"from": "first"}) == ["lost"]
    row = job(db, made.job_id)
    assert (row["status"], row["progress"], row["result"]) == ("running", {}, None)
    assert complete(db, second) == [True]
    # nor afterwards, although both tries began at one moment of a clock that stands still
    assert complete(db, first) == [False]
    assert complete(db, second) == [True]
    nobody = {"job_id": uuid.uuid4(), "lease_token": uuid.uuid4()}
    assert complete(db, nobody) == [False]


def test_a_late_completion_counts_while_nobody_took_over(db: Connection) -> None:
    enqueue(db)
    [claimed] = claim(db)
    run_out(db, claimed)
    assert complete(db, claimed) == [True]


def test_a_job_that_succeeded_leaves_nothing_with_the_workers(db: Connection) -> None:
    made = enqueue(db, payload={"week": "w"})
    complete(db, *claim(db))
    assert one(db, "select count(*) from private.job_runtime where job_id = %s", (made.job_id,)) == 0


# ---- exchange --------------------------------------------------------------------------------------------------


def test_an_exchange_ends_jobs_and_hands_out_others(db: Connection) -> None:
    payloads = {enqueue(db, payload={"n": number}).job_id: {"n": number} for number in range(4)}
    ids = sorted(payloads)
    done = claim(db, 2)
    taken = exchange(db, *done, result={"by": "me"})
    assert [(row["job_id"], row["payload"], row["lost"]) for row in taken] == [
        (ids[2], payloads[ids[2]], False),
        (ids[3], payloads[ids[3]], False),
    ]
    assert [(job(db, made)["status"], job(db, made)["result"]) for made in ids] == [
        ("succeeded", {"by": "me"}),
        ("succeeded", {"by": "me"}),
        ("running", None),
        ("running", None),
    ]
    assert [job(db, made)["completed_at"] for made in ids] == [NOON, NOON, None, None]
    assert heartbeat(db, *taken) == ["held", "held"]
    assert exchange(db, *taken) == []


def test_an_exchange_without_its_answer_may_be_said_again(db: Connection) -> None:
    for _ in range(4):
        enqueue(db)
    done = claim(db, 2)
    claim_id = uuid.uuid4()
    first = exchange(db, *done, limit=1, claim_id=claim_id)
    assert len(first) == 1
    assert exchange(db, *done, limit=1, claim_id=claim_id) == first
    assert exchange(db, limit=5, claim_id=claim_id) == first
    assert len(claim(db)) == 1


def test_an_exchange_tells_which_leases_were_lost(db: Connection) -> None:
    for _ in range(3):
        enqueue(db)
    late, good = claim(db, 2)
    run_out(db, late)
    claim_id = uuid.uuid4()
    [fresh, again] = claim(db, 10, claim_id=claim_id)
    assert again["job_id"] == late["job_id"]
    assert len(claim(db, 10, claim_id=claim_id)) == 2
    waits = enqueue(db)
    nobody = {"job_id": uuid.uuid4(), "lease_token": uuid.uuid4()}
    answers = exchange(db, late, good, nobody, result={"from": "me"})
    lost = {late["job_id"]: True, nobody["job_id"]: True}
    assert {row["job_id"]: row["lost"] for row in answers} == {waits.job_id: False, **lost}
    assert job(db, good["job_id"])["status"] == "succeeded"
    assert (job(db, late["job_id"])["status"], job(db, late["job_id"])["result"]) == ("running", None)
    assert heartbeat(db, again, fresh) == ["held", "held"]


def test_places_that_fall_free_are_given_away_in_the_same_call(db: Connection) -> None:
    person = persona(db)
    ids = [enqueue(db, user_id=person).job_id for _ in range(6)]
    running = claim(db)
    assert len(running) == 4
    others = set(ids) - {row["job_id"] for row in running}
    assert {row["job_id"] for row in exchange(db, *running[:2])} == others


@pytest.mark.parametrize(("limit", "given"), [(-1, 0), (0, 0), (None, 1), (5000, 100)])
def test_an_exchange_may_ask_for_nothing_new(db: Connection, limit: int | None, given: int) -> None:
    for _ in range(105):
        enqueue(db)
    done = claim(db, 1)
    assert len(exchange(db, *done, limit=limit)) == given
    assert job(db, done[0]["job_id"])["status"] == "succeeded"


def test_only_who_asks_for_jobs_names_himself_and_his_types(db: Connection) -> None:
    enqueue(db)
    done = claim(db)
    refused(db, "22004", "select * from public.svc_exchange_jobs('[]', null, array['week_notes'], 1)")
    refused(db, "22004", "select * from public.svc_exchange_jobs('[]', 'me', null, 1)")
    refused(db, "22023", "select * from public.svc_exchange_jobs('{}', 'me', array['week_notes'], 1)")
    assert exchange(db, *done, limit=0, worker=None, types=None) == []
    assert rows(db, "select * from public.svc_exchange_jobs(null, null, null, 0)") == []


def test_claims_wait_for_no_disk_and_completions_do(db: Connection) -> None:
    for _ in range(2):
        enqueue(db)
    with db.transaction(force_rollback=True):
        claim(db, 1)
        assert one(db, "show synchronous_commit") == "off"
    [first] = claim(db, 1)
    db.execute("set local synchronous_commit = on")
    exchange(db, first, limit=1)
    assert one(db, "show synchronous_commit") == "on"


def test_a_claim_takes_tokens_once(db: Connection) -> None:
    """Buckets are locked all together: two claims that took one each and then another would wait in a circle."""
    for name in "ab":
        db.execute("insert into private.provider_buckets values (%s, 100, 100, 100, private.clock())", (name,))
    lapsed = enqueue(db, provider="a")
    run_out(db, *claim(db))
    fresh = enqueue(db, provider="b")
    assert [row["job_id"] for row in claim(db)] == [fresh.job_id]
    assert [row["job_id"] for row in claim(db)] == [lapsed.job_id]


def test_a_job_that_was_changed_by_hand_holds_nobody_up(db: Connection) -> None:
    person = persona(db)
    ids = [enqueue(db, user_id=person, priority=-number).job_id for number in range(5)]
    db.execute("update public.jobs set status = 'cancelled', completed_at = now() where id = %s", (ids[0],))
    taken = [row["job_id"] for row in claim(db)]
    assert taken == ids[1:4]
    assert waiting(db, ids[4]) == "waiting"
    # when its lease is over, its place is given away
    run_out(db, {"job_id": ids[0]})
    reap(db)
    assert one(db, "select state from private.job_runtime where job_id = %s", (ids[0],)) == "over"
    assert [row["job_id"] for row in claim(db)] == ids[4:]


def test_a_job_changed_by_hand_hides_no_other_from_reaping(db: Connection) -> None:
    first, second = enqueue(db, priority=1), enqueue(db)
    db.execute("update public.jobs set status = 'cancelled', completed_at = now() where id = %s", (first.job_id,))
    [taken] = claim(db, 1)
    assert taken["job_id"] == second.job_id
    run_out(db, taken)
    assert [row["job_id"] for row in claim(db, 1)] == [second.job_id]


@pytest.mark.parametrize("status", ["failed", "queued"])
def test_a_try_that_was_ended_by_hand_is_lost(db: Connection, status: str) -> None:
    made = enqueue(db)
    [taken] = claim(db)
    db.execute("update public.jobs set status = %s where id = %s", (status, made.job_id))
    assert complete(db, taken) == [False]
    assert job(db, made.job_id)["status"] == status
    run_out(db, taken)
    reap(db)
    if status == "failed":
        db.execute("update public.jobs set status = 'queued' where id = %s", (made.job_id,))
        db.execute("select private.queue_jobs(array[%s])", (made.job_id,))
    assert [row["job_id"] for row in claim(db)] == [made.job_id]


def test_a_job_handed_in_under_two_leases_counts_for_the_right_one(db: Connection) -> None:
    enqueue(db)
    [right] = claim(db)
    wrong = {**right, "lease_token": uuid.uuid4()}
    answers = rows(db, "select * from public.svc_complete_jobs(%s)", (said(right, wrong),))
    assert [row["done"] for row in answers] == [True, False]


def test_a_place_that_was_left_over_is_given_away_by_the_sweep(db: Connection) -> None:
    people = [persona(db) for _ in range(3)]
    for person in people:
        enqueue(db, user_id=person)
    db.execute("update private.job_runtime set state = 'waiting'")
    assert claim(db) == []
    reap(db)
    assert {row["user_id"] for row in claim(db)} == set(people)


def test_a_try_begins_without_what_the_last_one_left(db: Connection) -> None:
    failed, released = enqueue(db), enqueue(db)
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


# ---- fail ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_back_off_is_half_fixed_half_random_and_doubles(db: Connection, jitter: float) -> None:
    db.execute("select set_config('app.frozen_jitter', %s, true)", (str(jitter),))
    made = enqueue(db, max_retries=10)
    now = NOON
    for full in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        [claimed] = claim(db)
        answer = fail(db, claimed)
        assert answer is not None
        assert answer["status"] == "queued"
        waits = (answer["scheduled_at"] - now).total_seconds()
        assert waits == pytest.approx(full / 2 + full / 2 * jitter)
        assert job(db, made.job_id)["scheduled_at"] == answer["scheduled_at"]
        now = answer["scheduled_at"]
        freeze(db, (now - timedelta(milliseconds=1)).isoformat())
        assert claim(db) == []
        freeze(db, now.isoformat())


def test_a_failure_is_told_to_the_owner_and_its_detail_to_operators(db: Connection) -> None:
    made = enqueue(db)
    fail(db, claim(db)[0], error_detail="stack of things", code="x" * 300, error_message="m" * 600)
    row = job(db, made.job_id)
    assert (row["status"], row["retry_count"]) == ("queued", 1)
    assert (row["error_code"], row["error_message"]) == ("x" * 200, "m" * 500)
    detail = one(db, "select error_detail from private.job_runtime where job_id = %s", (made.job_id,))
    assert detail == "stack of things"
    # the next try starts with a clean face
    freeze(db, (NOON + timedelta(hours=1)).isoformat())
    [claimed] = claim(db)
    assert claimed["retry_count"] == 1
    assert (job(db, made.job_id)["error_code"], job(db, made.job_id)["error_message"]) == (None, None)


@pytest.mark.parametrize(("asked", "waits"), [(5, 15), (100, 100), (10_000_000, 86_400), (-3, 15)])
def test_a_providers_retry_after_is_honoured(db: Connection, asked: int, waits: int) -> None:
    db.execute("select set_config('app.frozen_jitter', '0', true)")
    enqueue(db)
    answer = fail(db, claim(db)[0], retry_after_s=asked)
    assert answer == {"status": "queued", "scheduled_at": NOON + timedelta(seconds=waits)}


def test_a_permanent_failure_is_final(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db)
    answer = fail(db, claimed, retryable=False)
    assert answer is not None
    assert answer["status"] == "failed"
    row = job(db, made.job_id)
    assert (row["status"], row["completed_at"], row["retry_count"]) == ("failed", NOON, 0)
    assert fail(db, claimed, retryable=False) is None


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_a_poison_job_ends_failed_after_its_last_try(db: Connection, max_retries: int) -> None:
    made = enqueue(db, max_retries=max_retries)
    attempts = 0
    while claimed := claim(db):
        attempts += 1
        fail(db, claimed[0])
        freeze(db, (NOON + timedelta(days=attempts)).isoformat())
    row = job(db, made.job_id)
    assert (attempts, row["status"], row["retry_count"]) == (max_retries + 1, "failed", max_retries)


def test_a_failure_names_job_and_lease(db: Connection) -> None:
    refused(db, "22004", "select public.svc_fail_job(null, gen_random_uuid(), 'a', 'b')")
    refused(db, "22004", "select public.svc_fail_job(gen_random_uuid(), null, 'a', 'b')")


# ---- release and reap ------------------------------------------------------------------------------------------


def test_a_released_job_goes_back_uncounted_to_its_place(db: Connection) -> None:
    first, second = enqueue(db), enqueue(db, priority=-1)
    [claimed] = claim(db, 1)
    assert release(db, claimed) == 1
    row = job(db, first.job_id)
    assert (row["status"], row["retry_count"], row["scheduled_at"]) == ("queued", 0, NOON)
    assert release(db, claimed) == 0
    again = claim(db)
    assert [row["job_id"] for row in again] == [first.job_id, second.job_id]
    assert again[0]["lease_token"] != claimed["lease_token"]


def test_a_released_job_that_was_to_be_cancelled_is(db: Connection) -> None:
    made = enqueue(db)
    [claimed] = claim(db)
    db.execute("update public.jobs set cancel_requested = true where id = %s", (made.job_id,))
    assert release(db, claimed) == 1
    row = job(db, made.job_id)
    assert (row["status"], row["completed_at"]) == ("cancelled", NOON)
    assert waiting(db, made.job_id) is None


@pytest.mark.parametrize("by", ["claim", "sweep"])
def test_a_lease_that_ran_out_is_a_failed_try_that_runs_again_at_once(db: Connection, by: str) -> None:
    made = enqueue(db)
    [first] = claim(db, lease_s=60)
    freeze(db, (NOON + timedelta(seconds=60)).isoformat())
    assert claim(db) == []
    assert reap(db) == 0
    freeze(db, (NOON + timedelta(seconds=61)).isoformat())
    if by == "sweep":
        assert reap(db) == 1
        row = job(db, made.job_id)
        assert (row["status"], row["retry_count"], row["error_code"]) == ("queued", 1, "lease_expired")
    [second] = claim(db)
    assert (second["job_id"], second["retry_count"]) == (first["job_id"], 1)


def test_a_job_that_kills_its_workers_ends_failed(db: Connection) -> None:
    made = enqueue(db, max_retries=2)
    attempts = 0
    while claimed := claim(db):
        attempts += 1
        run_out(db, *claimed)
    row = job(db, made.job_id)
    assert (attempts, row["status"], row["error_code"]) == (3, "failed", "lease_expired")


def test_a_cancelled_job_of_a_dead_worker_ends_cancelled(db: Connection) -> None:
    made = enqueue(db)
    run_out(db, *claim(db))
    db.execute("update public.jobs set cancel_requested = true where id = %s", (made.job_id,))
    assert reap(db) == 1
    assert job(db, made.job_id)["status"] == "cancelled"


@pytest.mark.parametrize(("limit", "reaped"), [(2, 2), (0, 1), (None, 4), (100_000, 4)])
def test_a_sweep_is_bounded(db: Connection, limit: int | None, reaped: int) -> None:
    for _ in range(4):
        enqueue(db)
    run_out(db, *claim(db))
    assert reap(db, limit) == reaped


# ---- the whole life ----------------------------------------------------------------------------------------------


def test_states_change_only_along_the_documented_ways(db: Connection) -> None:
    made = enqueue(db)
    for wrong in ("succeeded", "failed"):
        refused(db, "23514", "update public.jobs set status = %s where id = %s", (wrong, made.job_id))
    complete(db, *claim(db))
    for wrong in ("queued", "running", "failed", "cancelled"):
        refused(db, "23514", "update public.jobs set status = %s where id = %s", (wrong, made.job_id))
    refused(db, "23514", "insert into public.jobs (type, status) values ('week_notes', 'running')")


@pytest.mark.parametrize(
    "change",
    ["progress = '[]'", "error_message = repeat('x', 501)", "retry_count = 4", "timeout_s = 86401", "dedupe_key = ''"],
)
def test_the_rules_of_a_job_hold_for_changes_too(db: Connection, change: str) -> None:
    made = enqueue(db)
    refused(db, "23514", f"update public.jobs set {change} where id = %s", (made.job_id,))


def test_updated_at_moves_with_every_change(db: Connection) -> None:
    made = enqueue(db)
    db.execute("alter table public.jobs disable trigger trg_jobs_updated_at")
    db.execute("update public.jobs set updated_at = '2020-01-01'")
    db.execute("alter table public.jobs enable trigger trg_jobs_updated_at")
    claimed = claim(db)
    now = one(db, "select now()")
    assert job(db, made.job_id)["updated_at"] == now
    db.execute("alter table public.jobs disable trigger trg_jobs_updated_at")
    db.execute("update public.jobs set updated_at = '2020-01-01'")
    db.execute("alter table public.jobs enable trigger trg_jobs_updated_at")
    complete(db, *claimed)
    assert job(db, made.job_id)["updated_at"] == now


def test_old_jobs_are_forgotten(db: Connection) -> None:
    ages = {"succeeded": (29, 31), "cancelled": (29, 31), "failed": (89, 91)}
    kept: list[uuid.UUID] = []
    gone: list[uuid.UUID] = []
    for status, (young, old) in ages.items():
        for days, into in ((young, kept), (old, gone)):
            made = enqueue(db).job_id
            db.execute("update private.job_runtime set state = 'over' where job_id = %s", (made,))
            db.execute("alter table public.jobs disable trigger trg_jobs_transition")
            db.execute(
                "update public.jobs set status = %s, completed_at = %s where id = %s",
                (status, NOON - timedelta(days=days), made),
            )
            db.execute("alter table public.jobs enable trigger trg_jobs_transition")
            into.append(made)
    kept.append(enqueue(db).job_id)
    assert one(db, "select private.purge_jobs() ->> 'jobs'") == "3"
    assert {row["id"] for row in rows(db, "select id from public.jobs")} == set(kept)
    assert one(db, "select count(*) from private.job_runtime where job_id = any (%s)", (gone,)) == 0


@pytest.mark.parametrize("role", ["anon", "authenticated", "app_admin"])
def test_no_front_end_reaches_the_workers_functions(db: Connection, role: str) -> None:
    me = persona(db)
    become(db, None if role == "anon" else me, role)
    nothing = json.dumps([])
    for call in (
        "svc_enqueue_job('week_notes')",
        "svc_claim_jobs('me', array['week_notes'], 1)",
        f"svc_exchange_jobs('{nothing}', 'me', array['week_notes'], 1)",
        f"svc_heartbeat_jobs('{nothing}')",
        f"svc_complete_jobs('{nothing}')",
        "svc_fail_job(null, null, '', '')",
        f"svc_release_jobs('{nothing}')",
        "svc_reap_expired_jobs()",
        "svc_tick_schedules()",
        "svc_pause_provider('x', 1)",
    ):
        refused(db, "42501", f"select public.{call}")


def test_the_service_reaches_them_all(db: Connection) -> None:
    become(db, None, "service_role")
    made = enqueue(db, dedupe_key="k")
    [claimed] = claim(db)
    assert heartbeat(db, claimed) == ["held"]
    assert release(db, claimed) == 1
    assert fail(db, claim(db)[0]) is not None
    assert reap(db) == 0
    assert said(claimed).count(str(made.job_id)) == 1
