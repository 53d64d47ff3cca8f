"""A database in use is brought up to date: what was in it stays, and goes on working."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from scripts.native import schema
from scripts.native.stack import AUTH_SCHEMA, Stack, migrate_real_auth
from tests.support.people import act_as, persona
from tests.support.queue import claim, complete, enqueue, one
from tests.support.tutoring import assign, goal, subject

OLD = "upgraded"
FIRST_RELEASE = "20261121132100_protect_platform"


@pytest.fixture
def old_url(stack: Stack) -> Iterator[str]:
    """A database on the same server as it was when the history was first released."""
    stack.server.execute(f"create database {OLD} template template0", user="supabase_admin")
    try:
        stack.server.bootstrap(None if stack.auth_is_real else AUTH_SCHEMA, database=OLD)
        if stack.auth_is_real:
            migrate_real_auth(stack.server, OLD)
        stack.server.psql(*(file for file in schema.migrations() if file.stem <= FIRST_RELEASE), database=OLD)
        yield stack.server.url(database=OLD)
    finally:
        stack.server.execute(f"drop database {OLD} with (force)", user="supabase_admin")


def bring_up_to_date(stack: Stack) -> None:
    """Every migration since, each in a transaction of its own."""
    for file in schema.migrations():
        if file.stem > FIRST_RELEASE:
            stack.server.psql(file, database=OLD)


def test_jobs_go_on_where_they_were(stack: Stack, old_url: str) -> None:
    claim_id = uuid.uuid4()
    with psycopg.connect(old_url, autocommit=True) as db:
        student = persona(db)
        done, runs = enqueue(db), enqueue(db, dedupe_key="runs")
        taken = {job["job_id"]: job for job in claim(db, 2, claim_id=claim_id)}
        assert set(taken) == {done.job_id, runs.job_id}
        assert complete(db, taken[done.job_id]) == [True]
        waits = [enqueue(db, user_id=student, dedupe_key=f"waits {number}").job_id for number in range(6)]
        later = enqueue(db, scheduled_at=datetime.now(UTC) + timedelta(hours=1)).job_id
        before = db.execute("select id, status, dedupe_key, scheduled_at from public.jobs order by id").fetchall()
    bring_up_to_date(stack)
    with psycopg.connect(old_url, autocommit=True) as db:
        after = db.execute("select id, status, dedupe_key, scheduled_at from public.jobs order by id").fetchall()
        assert after == before
        # who runs has his key and his lease; the same claim gives him again
        assert enqueue(db, dedupe_key="runs") == (runs.job_id, False)
        assert enqueue(db, user_id=student, dedupe_key="waits 5") == (waits[5], False)
        [again] = claim(db, 2, claim_id=claim_id)
        assert again == taken[runs.job_id]
        assert complete(db, again) == [True]
        # the others are still served in turn, four of a person at once
        first = claim(db, 10)
        assert [job["job_id"] for job in first] == waits[:4]
        complete(db, *first)
        assert [job["job_id"] for job in claim(db, 10)] == waits[4:]
        assert one(db, "select status::text from public.jobs where id = %s", (later,)) == "queued"
        assert one(db, "select count(*) from public.jobs where status = 'succeeded'") == 6


def test_tutors_see_what_they_saw(stack: Stack, old_url: str) -> None:
    with psycopg.connect(old_url, autocommit=True) as db:
        student, everything, maths_only = persona(db), persona(db, "tutor"), persona(db, "tutor")
        maths = subject(db)
        goal(db, student, subject_id=maths)
        goal(db, student)
        assign(db, everything, student)
        assign(db, maths_only, student, maths)
    for upgraded in (False, True):
        if upgraded:
            bring_up_to_date(stack)
        with psycopg.connect(old_url, autocommit=True) as db:
            for reader, count in ((student, 2), (everything, 2), (maths_only, 1)):
                with act_as(db, reader):
                    assert one(db, "select count(*) from public.goals") == count
