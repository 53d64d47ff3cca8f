"""A Canvas person takes an integration over from another: rows, running work, and what expiring leaves behind."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg

from tests.support import rows
from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]
SEALED = "v1:" + "A" * 40


def connect(
    db: Connection, user: uuid.UUID, school: uuid.UUID, canvas_person: str, row_id: uuid.UUID, **more: Any
) -> Any:
    """Connects as the service; (integration_id, outcome, job_id)."""
    given = {
        "p_integration_id": row_id,
        "p_user_id": user,
        "p_lms_connection_id": school,
        "p_external_user_id": canvas_person,
        "p_scopes": ["s"],
        "p_access_token_enc": SEALED,
        **more,
    }
    names = ", ".join(f"{name} => %({name})s" for name in given)
    with act_as(db, None, "service_role"):
        return db.execute(f"select * from public.svc_connect_integration({names})".encode(), given).fetchone()


def apply_course(db: Connection, integration: uuid.UUID, **fields: Any) -> Any:
    """Applies one course; its id and the outcome."""
    row = {"canvas_course_id": 7, "name": "C", "content_hash": "1", "workflow_state": "available"}
    given = json.dumps([{**row, "access_restricted": False, **fields}])
    found = db.execute("select course_id, outcome from public.svc_apply_courses(%s, %s)", (integration, given))
    return found.fetchone()


def test_what_was_the_first_persons_is_cleared_and_their_courses_wait(db: Connection) -> None:
    user, school, row_id = persona(db), rows.connection(db), uuid.uuid4()
    _, _, job = connect(db, user, school, "101", row_id)
    course, _ = apply_course(db, row_id)
    work = rows.assignment(db, user, course_id=course, status="graded", content_hash="1", submission='{"score": 9}')
    gone = rows.assignment(db, user, course_id=course, status="removed", submission='{"score": 5}')
    db.execute("insert into public.course_sync_state (user_id, course_id) values (%s, %s)", (user, course))
    assert connect(db, user, school, "102", row_id)[1] == "other_person"
    assert one(db, "select submission ->> 'score' from public.assignments where id = %s", (work,)) == "9"

    db.execute("select public.svc_disconnect_integration(%s)", (row_id,))
    connected = connect(db, user, school, "102", row_id)
    assert connected[1] == "connected"
    assert connected[2] != job, "a run with the former person's eyes is not joined"
    ended = db.execute("select status::text, cancel_requested from public.jobs where id = %s", (job,)).fetchone()
    assert ended == ("cancelled", True)
    state = "select status::text, submission, content_hash from public.assignments where id = %s"
    assert db.execute(state, (work,)).fetchone() == ("open", None, None)
    assert db.execute(state, (gone,)).fetchone() == ("removed", None, None)
    assert one(db, "select count(*) from public.course_sync_state where course_id = %s", (course,)) == 0
    former = "select former_external_user_id, is_active from public.courses where id = %s"
    assert db.execute(former, (course,)).fetchone() == ("101", False)
    assert one(db, "select public.svc_missing_courses(%s, '{}')", (row_id,)) == [], "nobody misses it"

    assert apply_course(db, row_id, access_restricted=True) == (course, "restricted")
    assert db.execute(former, (course,)).fetchone() == ("101", False), "a stub does not make it theirs"
    assert apply_course(db, row_id) == (course, "updated")
    assert db.execute(former, (course,)).fetchone() == (None, True), "the second person has it, too"


def test_the_same_person_again_keeps_everything(db: Connection) -> None:
    user, school, row_id = persona(db), rows.connection(db), uuid.uuid4()
    connect(db, user, school, "101", row_id)
    course, _ = apply_course(db, row_id)
    work = rows.assignment(db, user, course_id=course, status="graded", submission='{"score": 9}')
    db.execute("select public.svc_disconnect_integration(%s)", (row_id,))
    assert connect(db, user, school, "101", row_id)[1] == "connected"
    assert one(db, "select submission ->> 'score' from public.assignments where id = %s", (work,)) == "9"
    assert one(db, "select former_external_user_id from public.courses where id = %s", (course,)) is None


def test_an_expired_grant_has_nothing_left_to_give_back(db: Connection) -> None:
    user, school, row_id = persona(db), rows.connection(db), uuid.uuid4()
    for _ in range(2):
        connect(db, user, school, "101", row_id)
    waiting = "select count(*) from private.grant_revocations where integration_id = %s"
    assert one(db, waiting, (row_id,)) == 1
    assert one(db, "select public.svc_expire_integration(%s)", (row_id,))
    assert one(db, waiting, (row_id,)) == 0
    said = "select count(*) from private.audit_log where entity = 'grant_revocations' and subject_user_id = %s"
    assert one(db, f"{said} and action = 'delete'", (user,)) == 1


def test_zones_that_the_database_does_not_know_are_left_out(db: Connection) -> None:
    user, school, row_id = persona(db), rows.connection(db), uuid.uuid4()
    zone = "select timezone, timezone_source::text from public.profiles where user_id = %s"
    connect(db, user, school, "101", row_id, p_time_zone="Eastern Time (US & Canada)", p_name="N")
    apply_course(db, row_id, time_zone="Nowhere/Else")
    assert db.execute(zone, (user,)).fetchone() == ("UTC", "default")
    apply_course(db, row_id, canvas_course_id=8, time_zone="Europe/Berlin")
    assert db.execute(zone, (user,)).fetchone() == ("Europe/Berlin", "canvas")
    apply_course(db, row_id, canvas_course_id=9, time_zone="Asia/Tokyo")
    assert db.execute(zone, (user,)).fetchone() == ("Europe/Berlin", "canvas"), "one that was found stays"


def test_a_proposal_is_decided_once_and_its_person_is_told(db: Connection) -> None:
    user = persona(db)
    propose = "select * from public.svc_propose_lms_connection(%s, %s, 'N')"
    for decision, action in (("disabled", "refuse"), ("active", "approve")):
        host = f"{uuid.uuid4().hex}.example.edu"
        (made, status) = db.execute(propose, (user, host)).fetchone() or (None, None)
        assert status == "pending"
        assert db.execute(propose, (persona(db), host)).fetchone() == (made, "pending"), "nobody's second row"
        db.execute("update public.lms_connections set status = %s where id = %s", (decision, made))
        told = db.execute(
            "select payload ->> 'status' from public.notifications"
            " where user_id = %s and payload ->> 'lms_connection_id' = %s",
            (user, str(made)),
        ).fetchall()
        assert told == [(decision,)]
        audited = "select action from private.audit_log where entity = 'lms_connections' and entity_id = %s"
        assert db.execute(audited, (str(made),)).fetchall() == [(action,)]
        proposer = one(db, "select proposed_by from public.lms_connections where id = %s", (made,))
        assert proposer == (user if decision == "disabled" else None), "everybody reads active rows"
        refused(db, "23514", "update public.lms_connections set status = 'pending' where id = %s", (made,))
    refused(db, "23514", propose, (user, "https://canvas.example.edu"))
    refused(db, "22004", propose, (user, None))
