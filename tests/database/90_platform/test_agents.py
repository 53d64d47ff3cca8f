"""Which agent works, how its settings are checked, and the record of its work."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.people import act_as, persona, refused
from tests.support.queue import claim, complete, enqueue, job
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]
TYPES = ("clo", "engineer", "socratic", "brand", "headstart", "assistant", "tutor_companion")
FIND = "select agent_id, config from public.svc_find_agent(%s)"
ASSIGN = "select agent_id from public.svc_assign_agent(%s, %s, %s)"
GIVEN = "select agent_id, completed_at is not null from public.agent_assignments where {} = %s order by assigned_at, id"


def test_each_type_has_an_agent_and_the_newest_active_one_works(db: Connection) -> None:
    for kind in TYPES:
        assert len(db.execute(FIND, (kind,)).fetchall()) == 1, kind
    names = {"type": "brand", "name": f"Brand {uuid.uuid4()}", "created_at": "2090-01-01Z"}
    newest = insert(db, "public.agents", names, {"version": "2"})
    insert(db, "public.agents", names, {"version": "3", "created_at": "2090-01-02Z", "is_active": False})
    db.execute("""insert into public.agent_configs (agent_id, config) values (%s, '{"temperature": 1}')""", (newest,))
    with act_as(db, None, "service_role"):
        assert db.execute(FIND, ("brand",)).fetchall() == [(newest, {"temperature": 1})]
    db.execute("update public.agents set is_active = false where type = 'brand'")
    assert db.execute(FIND, ("brand",)).fetchall() == []
    refused(db, "22004", FIND, (None,))
    with act_as(db, persona(db)):
        refused(db, "42501", FIND, ("clo",))
        refused(db, "42501", ASSIGN, ("clo", uuid.uuid4(), None))


@pytest.mark.parametrize(
    "config",
    [
        {"prompt": "x"},
        {"model": ""},
        {"model": 5},
        {"model": "two words"},
        {"model": None},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": "1"},
        {"max_output_tokens": 255},
        {"max_output_tokens": 16001},
        {"max_output_tokens": 500.5},
        {"max_output_tokens": True},
        {"extra_instructions": ""},
        {"extra_instructions": "x" * 4001},
        {"extra_instructions": ["x"]},
    ],
)
def test_settings_of_another_kind_are_refused_by_name(db: Connection, config: dict[str, Any]) -> None:
    agent = insert(db, "public.agents", {"type": "clo", "name": f"Clo {uuid.uuid4()}"})
    add = "insert into public.agent_configs (agent_id, config) values (%s, %s)"
    with act_as(db, persona(db, "admin"), "app_admin"):
        said = refused(db, "22023", add, (agent, Jsonb(config)))
        assert f"config.{next(iter(config))} must be" in str(said)
        good = {"model": "writer-1", "temperature": 0.4, "max_output_tokens": 16000, "extra_instructions": "Be brief."}
        db.execute(add, (agent, Jsonb(good)))
        refused(db, "22023", "update public.agent_configs set config = %s where agent_id = %s", (Jsonb(config), agent))
        refused(db, "23514", "update public.agent_configs set config = '[]' where agent_id = %s", (agent,))


def test_work_is_recorded_once_and_completed_with_its_job(db: Connection) -> None:
    db.execute("delete from public.jobs")
    made = enqueue(db)
    [claimed] = claim(db)
    [(first,)] = db.execute(ASSIGN, ("clo", made.job_id, None)).fetchall()
    assert db.execute(ASSIGN, ("clo", made.job_id, None)).fetchall() == [(first,)]
    given = GIVEN.format("job_id").encode()
    assert db.execute(given, (made.job_id,)).fetchall() == [(first, False)]
    # switched off: what has begun goes on, and nothing new begins
    db.execute("update public.agents set is_active = false where type = 'clo'")
    assert db.execute(ASSIGN, ("clo", made.job_id, None)).fetchall() == [(first,)]
    other = enqueue(db)
    assert db.execute(ASSIGN, ("clo", other.job_id, None)).fetchall() == []
    # a newer agent takes over
    second = insert(db, "public.agents", {"type": "clo", "name": f"Clo {uuid.uuid4()}"})
    assert db.execute(ASSIGN, ("clo", made.job_id, None)).fetchall() == [(second,)]
    complete(db, claimed)
    assert sorted(db.execute(given, (made.job_id,)).fetchall()) == sorted([(first, True), (second, True)])
    assert job(db, made.job_id)["status"] == "succeeded"
    assert db.execute(ASSIGN, ("clo", uuid.uuid4(), None)).fetchall() == [(second,)], "a job that is gone"
    refused(db, "22004", ASSIGN, ("clo", None, None))


def test_a_session_is_recorded_while_it_is_open_and_completed_with_its_end(db: Connection) -> None:
    me = persona(db)
    dates = {"week_number": 1, "start_date": "2030-01-07", "end_date": "2030-01-13"}
    week = insert(db, "public.weeks", {"user_id": me}, dates)
    talk = insert(db, "public.socratic_sessions", {"user_id": me, "week_id": week, "topic": "x"})
    job_id = one(db, "select job_id from public.svc_enqueue_job('week_notes', '{}', %s)", (me,))
    [(agent,)] = db.execute(ASSIGN, ("socratic", job_id, talk)).fetchall()
    given = GIVEN.format("socratic_session_id").encode()
    assert db.execute(given, (talk,)).fetchall() == [(agent, False)]
    db.execute("update public.socratic_sessions set ended_at = now() where id = %s", (talk,))
    assert db.execute(given, (talk,)).fetchall() == [(agent, True)]
    db.execute("delete from public.agent_assignments where socratic_session_id = %s", (talk,))
    db.execute(ASSIGN, ("socratic", job_id, talk))
    assert db.execute(given, (talk,)).fetchall() == [], "an ended session gets no more work"
