"""Socratic sessions: idle ones are ended, dead turns too, and files go with their lines."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from functions.socratic.checking import QUESTION_MARKS
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]
BEGIN = "select * from public.svc_begin_socratic(%s, %s, %s, %s, %s)"
SWEEP = "select private.sweep_socratic()"
OPEN = "select count(*) from public.socratic_sessions where user_id = any(%s) and ended_at is null"


def session(db: Connection, user_id: uuid.UUID, at: str) -> uuid.UUID:
    """An open session that began at a time."""
    number = one(db, "select count(*) + 1 from public.weeks where user_id = %s", (user_id,))
    dates = {"week_number": number, "start_date": "2030-01-07", "end_date": "2030-01-13"}
    week = insert(db, "public.weeks", {"user_id": user_id}, dates)
    return insert(db, "public.socratic_sessions", {"user_id": user_id, "week_id": week, "topic": "x", "started_at": at})


def jobs(db: Connection, session_id: uuid.UUID) -> int:
    """How many jobs of insights a session has."""
    return int(one(db, "select count(*) from public.jobs where dedupe_key = %s", (f"socratic_insights:{session_id}",)))


def test_a_session_is_ended_two_hours_after_its_last_line(db: Connection) -> None:
    db.execute("delete from public.socratic_sessions")
    first, second = sorted([persona(db), persona(db)], key=str)
    freeze(db, "2030-01-07T10:00:00Z")
    idle, silent = session(db, first, "2030-01-07T07:59:59Z"), session(db, first, "2030-01-07T07:00:00Z")
    fresh, other = session(db, first, "2030-01-07T08:00:00Z"), session(db, second, "2030-01-07T01:00:00Z")
    spoken = session(db, first, "2030-01-07T01:00:00Z")
    line = {"role": "user", "content": "hello"}
    insert(db, "public.socratic_messages", line, {"session_id": idle, "occurred_at": "2030-01-07T07:59:59Z"})
    insert(db, "public.socratic_messages", line, {"session_id": spoken, "occurred_at": "2030-01-07T08:00:00Z"})
    ended = "select array_agg(id order by id) from public.socratic_sessions where ended_at = '2030-01-07T10:00:00Z'"
    assert one(db, SWEEP) == 2, "of one learner at a time"
    assert one(db, ended) == sorted([idle, silent])
    assert one(db, SWEEP) == 1
    assert one(db, ended) == sorted([idle, silent, other])
    assert one(db, SWEEP) == 0
    assert [jobs(db, one_id) for one_id in (idle, silent, fresh, spoken)] == [1, 0, 0, 0]


def test_a_turn_whose_worker_died_is_ended_and_the_line_may_be_said_again(db: Connection) -> None:
    db.execute("delete from public.socratic_sessions")
    me, stranger = persona(db), persona(db)
    freeze(db, "2030-01-07T10:00:00Z")
    talk = session(db, me, "2030-01-07T10:00:00Z")
    with act_as(db, None, "service_role"):
        [(_, answer, outcome)] = db.execute(BEGIN, (talk, me, "1", "Hello", "h")).fetchall()
        assert outcome == "new"
        assert db.execute(BEGIN, (talk, me, "1", "Hello", "h")).fetchall()[0][1:] == (answer, "existing")
        assert db.execute(BEGIN, (talk, me, "1", "Other", "o")).fetchall()[0][2] == "conflict"
        assert db.execute(BEGIN, (talk, me, "2", "More", "m")).fetchall()[0][2] == "busy"
        refused(db, "PT404", BEGIN, (talk, stranger, "3", "Hello", "h"))
    state = "select status, error_code from public.socratic_messages where id = %s"
    freeze(db, "2030-01-07T11:59:00Z")
    assert one(db, SWEEP) == 0, "its job is alive"
    db.execute("delete from public.jobs where dedupe_key = %s", (f"socratic_answer:{answer}",))
    assert one(db, SWEEP) == 1
    assert db.execute(state, (answer,)).fetchall() == [("interrupted", "interrupted")]
    finish = "select public.svc_finish_socratic(%s, 'complete', 'Why?')"
    with act_as(db, None, "service_role"):
        assert one(db, finish, (answer,)) is False, "a late writer changes nothing"
    # a failed turn is a new attempt
    db.execute("update public.socratic_messages set status = 'failed' where id = %s", (answer,))
    with act_as(db, None, "service_role"):
        [(_, again, outcome)] = db.execute(BEGIN, (talk, me, "1", "Hello", "h")).fetchall()
        assert (outcome, again != answer) == ("new", True)
        assert one(db, finish, (again,)) is True
    assert one(db, "select total_questions from public.socratic_sessions where id = %s", (talk,)) == 1


def test_insights_are_stored_once_and_quote_lines_of_the_session(db: Connection) -> None:
    me, stranger = persona(db), persona(db)
    talk, other = session(db, me, "2030-01-07T10:00:00Z"), session(db, me, "2030-01-07T10:00:00Z")
    line = insert(db, "public.socratic_messages", {"session_id": talk, "role": "user", "content": "Light is energy"})
    told = f'[{{"text": "You said it.", "message_id": "{line}", "quote": "Light is energy"}}]'
    store = "select public.svc_finish_socratic_insights(%s, %s::jsonb, 'm', 'p')"
    with act_as(db, None, "service_role"):
        assert one(db, store, (talk, told)) is False, "it has not ended"
    db.execute("update public.socratic_sessions set ended_at = '2030-01-08Z' where user_id = %s", (me,))
    assert (jobs(db, talk), jobs(db, other)) == (1, 0)
    with act_as(db, None, "service_role"):
        refused(db, "22023", store, (other, told))
        refused(db, "22023", store, (talk, '[{"text": "No quote.", "message_id": null}]'))
        assert one(db, store, (talk, told)) is True
        assert one(db, store, (talk, "[]")) is False
        ended = db.execute("select job_id, is_done from public.svc_end_socratic(%s, %s)", (talk, me)).fetchall()
        assert ended == [(None, True)]
        refused(db, "PT404", "select public.svc_end_socratic(%s, %s)", (talk, stranger))
    assert one(db, "select insights_generated from public.socratic_sessions where id = %s", (talk,)) == ["You said it."]


def test_the_database_knows_the_marks_that_the_agent_is_held_to(db: Connection) -> None:
    asks = "select private.has_question(%s)"
    for mark in QUESTION_MARKS:
        assert one(db, asks, (f"Word{mark}",)), hex(ord(mark))
    for text in ("Πόσο καλά;", "Որքա՞ն\u0589"):
        assert one(db, asks, (text,)), text
    for text in ("First; then.", "No.", "π; θ", ""):
        assert not one(db, asks, (text,)), text
