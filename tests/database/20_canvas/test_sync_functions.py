"""The functions that sync writes with: what they refuse, and that repeating a call changes nothing."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]
SEALED = "v1:" + "A" * 40
CONNECT = "select * from public.svc_connect_integration(%s, %s, %s, %s, array['s'], %s, %s)"


def new_installation(db: Connection) -> uuid.UUID:
    """A Canvas of a school of its own."""
    row = db.execute(
        "insert into public.lms_connections (instance_domain, name) values (%s, 'School') returning id",
        (f"{uuid.uuid4().hex[:12]}.example.edu",),
    ).fetchone()
    assert row is not None
    return uuid.UUID(str(row[0]))


@pytest.fixture
def installation(db: Connection) -> uuid.UUID:
    return new_installation(db)


def connect(
    db: Connection, person: uuid.UUID, installation: uuid.UUID, canvas_person: str, row_id: uuid.UUID | None = None
) -> Any:
    """Calls svc_connect_integration as the service; (integration_id, outcome, job_id)."""
    with act_as(db, None, "service_role"):
        args = (row_id or uuid.uuid4(), person, installation, canvas_person, SEALED, SEALED)
        return db.execute(CONNECT, args).fetchone()


def course_of(db: Connection, integration: uuid.UUID, **fields: Any) -> Any:
    """Applies one course; (course_id, canvas_course_id, outcome, is_active, workflow_state)."""
    row = {"canvas_course_id": 7, "name": "C", "content_hash": "1", "workflow_state": "available"}
    given = json.dumps([{**row, "access_restricted": False, **fields}])
    return db.execute("select * from public.svc_apply_courses(%s, %s)", (integration, given)).fetchone()


def test_a_grant_is_stored_whole_and_again_under_the_same_id(db: Connection, installation: uuid.UUID) -> None:
    person = persona(db)
    first = connect(db, person, installation, "101")
    assert first[1] == "connected"
    assert connect(db, person, installation, "101")[:2] == (first[0], "other_id"), "another id: seal again for this one"
    assert connect(db, person, installation, "101", first[0]) == first
    tokens = db.execute("select version from private.integration_tokens where integration_id = %s", (first[0],))
    assert tokens.fetchone() == (2,)


def test_a_grant_that_is_given_up_waits_to_be_revoked(db: Connection, installation: uuid.UUID) -> None:
    person = persona(db)
    integration = connect(db, person, installation, "101")[0]
    waiting = (
        "select r.access_token_enc, j.type::text, j.user_id from private.grant_revocations as r"
        " join public.jobs as j on j.dedupe_key = 'canvas_revoke:' || r.id where r.integration_id = %s"
    )
    assert db.execute(waiting, (integration,)).fetchall() == []
    connect(db, person, installation, "101", integration)
    assert db.execute(waiting, (integration,)).fetchall() == [(SEALED, "canvas_revoke", None)], "the replaced grant"
    for _ in range(2):
        db.execute("select public.svc_disconnect_integration(%s)", (integration,))
    assert len(db.execute(waiting, (integration,)).fetchall()) == 2, "the second call found no tokens"
    left = db.execute("select count(*) from private.integration_tokens where integration_id = %s", (integration,))
    assert left.fetchone() == (0,)
    db.execute("delete from public.integrations where id = %s", (integration,))
    assert len(db.execute(waiting, (integration,)).fetchall()) == 2, "the grant ends at Canvas all the same"


def test_a_state_is_released_for_its_own_person_alone(db: Connection, installation: uuid.UUID) -> None:
    person, stranger = persona(db), persona(db)
    state = uuid.uuid4().hex
    db.execute("select public.svc_create_oauth_state(%s, %s, %s, '/')", (state, person, installation))
    release = "select public.svc_release_oauth_state(%s, %s)"
    consume = "select outcome from public.svc_consume_oauth_state(%s, %s)"
    assert db.execute(release, (state, person)).fetchone() == (False,), "it was not consumed"
    assert db.execute(consume, (state, person)).fetchone() == ("ok",)
    assert db.execute(release, (state, stranger)).fetchone() == (False,)
    assert db.execute(consume, (state, person)).fetchone() == ("used",)
    assert db.execute(release, (state, person)).fetchone() == (True,)
    assert db.execute(consume, (state, person)).fetchone() == ("ok",)


def test_a_sync_leaves_out_what_a_live_one_covers(db: Connection) -> None:
    person = persona(db)
    integrations = [connect(db, person, new_installation(db), "101")[0] for _ in range(3)]
    db.execute("delete from public.jobs where user_id = %s", (person,))
    first, second, third = integrations
    course = uuid.uuid4()

    def start(*ids: uuid.UUID, courses: list[uuid.UUID] | None = None) -> tuple[uuid.UUID, bool]:
        row = db.execute(
            "select * from public.svc_start_canvas_sync(%s, %s, %s)", (person, list(ids), courses)
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def payload(job: uuid.UUID) -> Any:
        row = db.execute("select payload from private.job_runtime where job_id = %s", (job,)).fetchone()
        return None if row is None else row[0]

    both, created = start(first, second)
    assert created
    assert sorted(payload(both)["integration_ids"]) == sorted(map(str, (first, second)))
    assert start(second) == (both, False)
    assert start(second, courses=[course]) == (both, False), "the whole covers a part"
    rest, created = start(first, second, third)
    assert (created, payload(rest)) == (True, {"integration_ids": [str(third)]})
    db.execute("delete from public.jobs where user_id = %s", (person,))
    part, created = start(first, courses=[course])
    assert (created, payload(part)["course_ids"]) == (True, [str(course)])
    assert start(first, courses=[course]) == (part, False)
    assert start(first)[1], "a part does not stand for the whole"
    other = connect(db, persona(db), new_installation(db), "102")[0]
    refused(db, "PT404", "select public.svc_start_canvas_sync(%s, %s)", (person, [other]))


def test_a_canvas_person_of_somebody_else_is_refused_whole(db: Connection, installation: uuid.UUID) -> None:
    connect(db, persona(db), installation, "101")
    late = persona(db)
    assert connect(db, late, installation, "101") == (None, "in_use", None)
    for table in ("integrations", "jobs"):
        left = db.execute(f"select count(*) from public.{table} where user_id = %s".encode(), (late,)).fetchone()
        assert left == (0,)


def test_refusals(db: Connection, installation: uuid.UUID) -> None:
    person = persona(db)
    args = (uuid.uuid4(), person, uuid.uuid4(), "1", SEALED, SEALED)
    refused(db, "PT404", CONNECT, args)
    refused(db, "22004", CONNECT, (None, person, installation, "1", SEALED, SEALED))
    refused(db, "23514", CONNECT, (uuid.uuid4(), person, installation, "1", "plain", SEALED))
    refused(db, "PT404", "select * from public.svc_apply_courses(%s, '[]')", (uuid.uuid4(),))
    refused(db, "PT404", "select * from public.svc_apply_assignments(%s, '[]', '{}')", (uuid.uuid4(),))
    integration = connect(db, person, installation, "101")[0]
    refused(db, "22023", "select * from public.svc_apply_courses(%s, '{}')", (integration,))


def test_nobody_but_the_service_may_call_them(db: Connection, installation: uuid.UUID) -> None:
    person = persona(db)
    integration = connect(db, person, installation, "101")[0]
    for role in ("authenticated", "app_admin", "anon"):
        with act_as(db, person if role != "anon" else None, role):
            for call in ("svc_disconnect_integration(%s)", "svc_expire_integration(%s)", "svc_apply_courses(%s, '[]')"):
                refused(db, "42501", f"select public.{call}", (integration,))


def test_expiring_tells_once(db: Connection, installation: uuid.UUID) -> None:
    person = persona(db)
    integration = connect(db, person, installation, "101")[0]
    outcomes = [db.execute("select public.svc_expire_integration(%s)", (integration,)).fetchone() for _ in range(2)]
    assert outcomes == [(True,), (False,)]
    told = db.execute("select type::text from public.notifications where user_id = %s", (person,)).fetchall()
    assert told == [("integration_error",)]


def test_a_course_that_is_the_same_is_not_written(db: Connection, installation: uuid.UUID) -> None:
    integration = connect(db, persona(db), installation, "101")[0]
    made = course_of(db, integration)
    assert made[2:] == ("inserted", True, "available")
    version = "select xmin::text, ctid::text from public.courses where id = %s"
    before = db.execute(version, (made[0],)).fetchone()
    assert course_of(db, integration)[2] == "unchanged"
    assert db.execute(version, (made[0],)).fetchone() == before
    assert course_of(db, integration, name="Stub", content_hash="2", access_restricted=True)[2] == "restricted"
    row = db.execute("select name, content_hash, access_restricted from public.courses where id = %s", (made[0],))
    assert row.fetchone() == ("C", "1", True)
    assert course_of(db, integration)[2] == "updated"


def test_deleted_and_hidden_are_told_apart(db: Connection, installation: uuid.UUID) -> None:
    integration = connect(db, persona(db), installation, "101")[0]
    course_id = course_of(db, integration)[0]
    mark = "select public.svc_mark_course(%s, 'deleted')"
    assert [db.execute(mark, (course_id,)).fetchone() for _ in range(2)] == [(True,), (False,)]
    assert course_of(db, integration)[2:] == ("updated", True, "available")
    db.execute("update public.courses set is_hidden = true where id = %s", (course_id,))
    assert course_of(db, integration)[2:] == ("unchanged", False, "available")
    assert course_of(db, integration, content_hash="3")[2:] == ("updated", False, "available")
    assert one(db, "select is_active and is_hidden from public.courses where id = %s", (course_id,))


def test_what_a_description_hides_is_kept_apart_and_follows_it(db: Connection, installation: uuid.UUID) -> None:
    person = persona(db, "student")
    integration = connect(db, person, installation, "77")[0]
    row: dict[str, Any] = {"canvas_assignment_id": 8, "title": "T", "status": "open", "raw_payload": {}}

    def apply(**fields: Any) -> tuple[Any, ...]:
        with act_as(db, None, "service_role"):
            course_id = course_of(db, integration)[0]
            given = json.dumps([{**row, **fields}])
            db.execute("select * from public.svc_apply_assignments(%s, %s, '{}')", (course_id, given))
            found: tuple[Any, ...] | None = db.execute(
                "select public.svc_get_assignment_notes(id), is_description_cut from public.assignments"
                " where course_id = %s",
                (course_id,),
            ).fetchone()
        assert found is not None
        return found

    assert apply(content_hash="1", hidden_notes="The key is 42.", is_description_cut=True) == ("The key is 42.", True)
    assert apply(content_hash="1") == ("The key is 42.", True), "an unchanged row is not touched"
    assert apply(content_hash="2", hidden_notes="The key is 43.") == ("The key is 43.", False)
    assert apply(content_hash="3") == (None, False)
    with act_as(db, person, "authenticated"):
        refused(db, "42501", "select public.svc_get_assignment_notes(%s)", (uuid.uuid4(),))
        refused(db, "42501", "select * from private.assignment_notes")
