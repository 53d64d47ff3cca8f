"""A change of role ends the assignments and guardianships of the old one."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]

SET_ROLE = "select (public.admin_set_role(%s, %s)).role"


def tutoring(db: Connection, tutor: uuid.UUID, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    return insert(db, "public.tutor_student_assignments", {"tutor_id": tutor, "student_id": student}, columns)


def test_a_former_tutors_assignments_are_completed_today(db: Connection) -> None:
    freeze(db, "2030-03-01T00:30:00Z")
    db.execute("set local time zone 'America/Los_Angeles'")
    tutor, admin = persona(db, "tutor"), persona(db, "admin")
    active = tutoring(db, tutor, persona(db))
    paused = tutoring(db, tutor, persona(db), status="paused")
    future = tutoring(db, tutor, persona(db), start_date="2030-09-01")
    done = tutoring(db, tutor, persona(db))
    db.execute(
        "update public.tutor_student_assignments set status = 'completed', end_date = '2029-01-01' where id = %s",
        (done,),
    )
    with act_as(db, admin, "app_admin"):
        assert one(db, SET_ROLE, (tutor, "teacher")) == "teacher"
    rows = dict(
        db.execute(
            "select id, end_date from public.tutor_student_assignments where tutor_id = %s and status = 'completed'",
            (tutor,),
        ).fetchall()
    )
    assert rows == {
        active: datetime.date(2030, 3, 1),
        paused: datetime.date(2030, 3, 1),
        future: datetime.date(2030, 9, 1),
        done: datetime.date(2029, 1, 1),
    }


def test_a_former_parents_guardianships_are_revoked(db: Connection) -> None:
    parent = persona(db, "parent")
    pending = insert(db, "public.guardianships", {"parent_id": parent, "student_id": persona(db)})
    active = insert(db, "public.guardianships", {"parent_id": parent, "student_id": persona(db)})
    db.execute(
        "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s", (active,)
    )
    db.execute("update public.profiles set role = 'tutor' where user_id = %s", (parent,))
    rows = db.execute("select id, status from public.guardianships where parent_id = %s", (parent,)).fetchall()
    assert dict(rows) == {pending: "revoked", active: "revoked"}


@pytest.mark.parametrize("bond", ["tutor", "parent"])
def test_a_student_in_somebodys_care_stays_a_student(db: Connection, bond: str) -> None:
    student = persona(db)
    if bond == "tutor":
        made = tutoring(db, persona(db, "tutor"), student)
        end = "update public.tutor_student_assignments set status = 'completed' where id = %s"
    else:
        made = insert(db, "public.guardianships", {"parent_id": persona(db, "parent"), "student_id": student})
        db.execute(
            "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s",
            (made,),
        )
        end = "update public.guardianships set status = 'revoked' where id = %s"
    with act_as(db, persona(db, "admin"), "app_admin"):
        refused(db, "23514", SET_ROLE, (student, "tutor"))
    assert one(db, "select role from public.profiles where user_id = %s", (student,)) == "student"
    db.execute(end, (made,))
    with act_as(db, persona(db, "admin"), "app_admin"):
        assert one(db, SET_ROLE, (student, "tutor")) == "tutor"


def test_paused_and_pending_bonds_of_a_former_student_end(db: Connection) -> None:
    student = persona(db)
    paused = tutoring(db, persona(db, "tutor"), student, status="paused")
    pending = insert(db, "public.guardianships", {"parent_id": persona(db, "parent"), "student_id": student})
    db.execute("update public.profiles set role = 'teacher' where user_id = %s", (student,))
    assert one(db, "select status from public.tutor_student_assignments where id = %s", (paused,)) == "completed"
    assert one(db, "select status from public.guardianships where id = %s", (pending,)) == "revoked"


def test_a_change_is_audited_and_the_same_role_is_none(db: Connection) -> None:
    person, admin = persona(db), persona(db, "admin")
    with act_as(db, admin, "app_admin"):
        one(db, SET_ROLE, (person, "student"))
        one(db, SET_ROLE, (person, "teacher"))
    lines = db.execute(
        "select action, actor_id, actor_role, detail from private.audit_log"
        " where entity = 'profiles' and entity_id = %s",
        (str(person),),
    ).fetchall()
    detail = {"before": {"role": "student"}, "after": {"role": "teacher"}}
    assert lines == [("update", admin, "app_admin", detail)]


def test_bad_arguments(db: Connection) -> None:
    person = persona(db)
    with act_as(db, persona(db, "admin"), "app_admin"):
        refused(db, "22023", SET_ROLE, (person, "owner"))
        refused(db, "22023", SET_ROLE, (person, ""))
        refused(db, "22004", SET_ROLE, (person, None))
        refused(db, "22004", SET_ROLE, (None, "tutor"))
        refused(db, "PT404", SET_ROLE, (uuid.uuid4(), "tutor"))


@pytest.mark.parametrize(
    "end",
    ["update public.profiles set role = 'teacher' where user_id = %s", "delete from auth.users where id = %s"],
    ids=["demoted", "deleted"],
)
@pytest.mark.parametrize("call", ["select public.admin_set_role(%s, 'admin')", "select public.admin_list_audit(%s)"])
def test_a_former_administrators_token_does_nothing(db: Connection, end: str, call: str) -> None:
    former = persona(db, "admin")
    with act_as(db, former, "app_admin"):
        one(db, call, (former,))
    db.execute(end.encode(), (former,))
    with act_as(db, former, "app_admin"):
        assert "only administrators" in refused(db, "42501", call, (former,))
    assert one(db, "select count(*) from public.profiles where user_id = %s and role = 'admin'", (former,)) == 0


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_only_staff_may_call_it(db: Connection, role: str) -> None:
    person = persona(db, "admin")
    with act_as(db, person, role):
        refused(db, "42501", SET_ROLE, (person, "student"))
