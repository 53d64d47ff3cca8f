"""The audit log, the outbox of files, stored answers, rate limits, agents."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]
BEGIN = "select outcome, status, response from public.svc_begin_idempotent(%s, %s, %s, %s)"
FINISH = "select public.svc_finish_idempotent(%s, %s, %s, %s, %s)"
TAKE = "select allowed, retry_after_s from public.svc_take_rate(%s, %s, %s)"
CLAIM = "select storage_key, attempts from public.svc_claim_storage_deletions(%s)"


def test_the_audit_log_is_not_changed_even_by_its_owner(db: Connection) -> None:
    db.execute("select private.write_audit('read', 'x', 'y', null)")
    refused(db, "42501", "update private.audit_log set action = 'other'")
    refused(db, "42501", "delete from private.audit_log")
    refused(db, "42501", "truncate private.audit_log")


def test_staff_read_the_audit_log_newest_first(db: Connection) -> None:
    admin, about = persona(db, "admin"), uuid.uuid4()
    for number in range(3):
        db.execute("select private.write_audit('read', 'x', %s, %s)", (str(number), about))
    call = "select entity_id from public.admin_list_audit(%s, %s)"
    with act_as(db, admin, "app_admin"):
        assert [row[0] for row in db.execute(call, (about, 2))] == ["2", "1"]
        assert one(db, "select count(*) from public.admin_list_audit()") >= 3
        refused(db, "22003", call, (about, 0))
        refused(db, "22003", call, (about, 1001))
        refused(db, "22004", call, (about, None))
        refused(db, "42501", "select from private.audit_log")
    for role in ("authenticated", "service_role", "anon"):
        with act_as(db, admin, role):
            refused(db, "42501", call, (about, 2))


def test_a_file_waits_once_and_comes_back_until_it_is_gone(db: Connection) -> None:
    db.execute("update private.storage_deletions set done_at = now() where done_at is null")
    freeze(db, "2030-01-01T00:00:00Z")
    add = """insert into private.storage_deletions (storage_key, reason, next_attempt_at)
             values (%s, 'test', '2029-01-01Z') on conflict do nothing"""
    for key in ("content/a", "content/a", "content/b"):
        db.execute(add, (key,))
    identity = "select id from private.storage_deletions where storage_key = %s and done_at is null"
    finish = "select public.svc_finish_storage_deletion(%s, %s)"
    with act_as(db, None, "service_role"):
        assert sorted(db.execute(CLAIM, (10,)).fetchall()) == [("content/a", 1), ("content/b", 1)]
        assert db.execute(CLAIM, (10,)).fetchall() == []
    first, second = one(db, identity, ("content/a",)), one(db, identity, ("content/b",))
    db.execute(finish, (first, None))
    db.execute(finish, (second, "503"))
    for moment, found in (
        ("2030-01-01T00:00:29Z", []),
        ("2030-01-01T00:00:30Z", [("content/b", 2)]),
        ("2030-01-01T00:01:29Z", []),
        ("2030-01-01T00:01:30Z", [("content/b", 3)]),
    ):
        freeze(db, moment)
        assert db.execute(CLAIM, (10,)).fetchall() == found
    db.execute(finish, (second, None))
    db.execute(finish, (second, "too late"))
    state = "select done_at is not null, last_error from private.storage_deletions where id = %s"
    assert db.execute(state, (second,)).fetchone() == (True, None)
    db.execute(add, ("content/a",))
    assert one(db, identity, ("content/a",)) not in (None, first)
    refused(db, "22004", CLAIM, (None,))
    refused(db, "22003", CLAIM, (0,))
    refused(db, "22004", finish, (None, None))


def test_the_same_question_gets_the_same_answer(db: Connection) -> None:
    me, other = persona(db), persona(db)
    mine = (me, "POST /x", "key-0001")
    with act_as(db, None, "service_role"):
        assert db.execute(BEGIN, (*mine, "h")).fetchone() == ("new", None, None)
        assert db.execute(BEGIN, (*mine, "h")).fetchone() == ("in_flight", None, None)
        assert db.execute(BEGIN, (*mine, "other")).fetchone() == ("mismatch", None, None)
        db.execute(FINISH, (*mine, 202, Jsonb({"job_id": "1"})))
        assert db.execute(BEGIN, (*mine, "h")).fetchone() == ("replay", 202, {"job_id": "1"})
        assert db.execute(BEGIN, (*mine, "other")).fetchone() == ("mismatch", None, None)
        # a stored answer does not change
        db.execute(FINISH, (*mine, 500, Jsonb({})))
        db.execute(FINISH, (*mine, None, None))
        assert db.execute(BEGIN, (*mine, "h")).fetchone() == ("replay", 202, {"job_id": "1"})
        for foreign in ((other, *mine[1:]), (me, "POST /y", mine[2]), (*mine[:2], "key-0002")):
            assert db.execute(BEGIN, (*foreign, "h")).fetchone() == ("new", None, None)


def test_a_forgotten_an_abandoned_and_an_old_key_are_new(db: Connection) -> None:
    mine = (persona(db), "POST /x", "key-0001")
    freeze(db, "2030-01-01T00:00:00Z")
    db.execute(BEGIN, (*mine, "h"))
    db.execute(FINISH, (*mine, None, None))
    assert db.execute(BEGIN, (*mine, "other")).fetchone() == ("new", None, None)
    freeze(db, "2030-01-01T00:01:59Z")
    assert db.execute(BEGIN, (*mine, "other")).fetchone() == ("in_flight", None, None)
    freeze(db, "2030-01-01T00:02:00Z")
    assert db.execute(BEGIN, (*mine, "third")).fetchone() == ("new", None, None)
    db.execute(FINISH, (*mine, 200, None))
    freeze(db, "2030-01-02T00:01:59Z")
    assert db.execute(BEGIN, (*mine, "third")).fetchone() == ("replay", 200, None)
    freeze(db, "2030-01-02T00:02:00Z")
    assert db.execute(BEGIN, (*mine, "fourth")).fetchone() == ("new", None, None)


def test_arguments_of_kept_answers(db: Connection) -> None:
    good: list[Any] = [persona(db), "POST /x", "key-0001", "h"]
    for place in range(4):
        refused(db, "22004", BEGIN, [None if i == place else v for i, v in enumerate(good)])
    refused(db, "23514", BEGIN, (*good[:2], "k" * 256, "h"))
    refused(db, "22004", FINISH, (None, "x", "y", 200, None))
    with act_as(db, good[0]):
        refused(db, "42501", BEGIN, good)


def test_two_requests_with_one_key_at_once(db_url: str) -> None:
    with ring(db_url) as race:
        me = persona(race.owner)
        race.clean_up("auth.users", me)
        one_session, other_session = race.session(), race.session()
        assert one(one_session, BEGIN, (me, "POST /x", "key-0001", "h")) == "new"
        waiting = race.start(other_session, BEGIN, (me, "POST /x", "key-0001", "h"))
        race.wait_until_blocked(other_session)
        one_session.commit()
        assert waiting.result(timeout=60)[0] == "in_flight"


def test_a_window_holds_so_many_and_says_when_the_next_begins(db: Connection) -> None:
    bucket = f"test {uuid.uuid4()}"
    freeze(db, "2030-01-01T00:00:12Z")
    with act_as(db, None, "service_role"):
        assert [db.execute(TAKE, (bucket, 2, 60)).fetchone() for _ in range(3)] == [(True, 0), (True, 0), (False, 48)]
        assert db.execute(TAKE, (f"{bucket} other", 2, 60)).fetchone() == (True, 0)
        assert db.execute(TAKE, (f"{bucket} shut", 0, 60)).fetchone() == (False, 48)
    freeze(db, "2030-01-01T00:01:00Z")
    assert db.execute(TAKE, (bucket, 2, 60)).fetchone() == (True, 0)
    for place in range(3):
        refused(db, "22004", TAKE, [None if i == place else v for i, v in enumerate((bucket, 2, 60))])
    for limit, window in ((-1, 60), (1, 0), (1, 86401)):
        refused(db, "22003", TAKE, (bucket, limit, window))
    with act_as(db, persona(db)):
        refused(db, "42501", TAKE, (bucket, 2, 60))


def test_parallel_requests_take_exactly_the_places_there_are(db_url: str) -> None:
    bucket, taken = f"race {uuid.uuid4()}", []

    def take() -> None:
        with psycopg.connect(db_url, autocommit=True) as session:
            for _ in range(10):
                # a day's window: the test does not cross one
                taken.append(one(session, TAKE, (bucket, 17, 86400)))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with psycopg.connect(db_url, autocommit=True) as owner:
        owner.execute("delete from private.rate_buckets where bucket = %s", (bucket,))
    assert (len(taken), taken.count(True)) == (80, 17)


def test_what_agents_are_told_is_for_staff(db: Connection) -> None:
    agent = insert(db, "public.agents", {"type": "clo", "name": f"Clo {uuid.uuid4()}"})
    db.execute("""insert into public.agent_configs (agent_id, config) values (%s, '{"model": "x"}')""", (agent,))
    see = "select count(*) from public.agents where id = %s"
    with act_as(db, persona(db)):
        assert one(db, see, (agent,)) == 1
        refused(db, "42501", "select from public.agent_configs")
        refused(db, "42501", "update public.agents set is_active = false where id = %s", (agent,))
    with act_as(db, persona(db, "admin"), "app_admin"):
        db.execute("update public.agents set is_active = false where id = %s", (agent,))
        assert one(db, "select config ->> 'model' from public.agent_configs where agent_id = %s", (agent,)) == "x"
    with act_as(db, persona(db)):
        assert one(db, see, (agent,)) == 0


def test_the_work_of_agents_is_seen_by_the_owner_of_its_one_target(db: Connection) -> None:
    me = persona(db)
    agent = insert(db, "public.agents", {"type": "clo", "name": f"Clo {uuid.uuid4()}"})
    week = insert(
        db,
        "public.weeks",
        {"user_id": me, "week_number": 1, "start_date": "2030-01-07", "end_date": "2030-01-13"},
    )
    talk = insert(db, "public.socratic_sessions", {"user_id": me, "week_id": week, "topic": "x"})
    job = one(db, "select job_id from public.svc_enqueue_job('week_notes', '{}', %s)", (me,))
    targets = {"week_id": week, "socratic_session_id": talk, "job_id": job}
    for column, target in targets.items():
        insert(db, "public.agent_assignments", {"agent_id": agent, column: target})
    for bad in ({}, {"week_id": week, "job_id": job}):
        with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
            insert(db, "public.agent_assignments", {"agent_id": agent}, bad)
    count = "select count(*) from public.agent_assignments where agent_id = %s"
    for person, role, rows in (
        (me, "authenticated", 3), (persona(db), "authenticated", 0), (persona(db, "admin"), "app_admin", 3),
    ):  # fmt: skip
        with act_as(db, person, role):
            assert one(db, count, (agent,)) == rows
    db.execute("delete from public.weeks where id = %s", (week,))
    assert one(db, count, (agent,)) == 1
