"""Installations, grants, courses and assignments: states, keys, owners, and who may touch what."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support import rows
from tests.support.machines import outcomes
from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]


def test_states_of_an_installation(db: Connection) -> None:
    births, changes = outcomes(
        db, "lms_connections", ["pending", "active", "disabled"], lambda state: rows.connection(db, status=state)
    )
    assert births == {"pending", "active"}
    assert changes == {"pending>active", "pending>disabled", "active>disabled", "disabled>active"}


def test_states_of_a_grant(db: Connection) -> None:
    person = persona(db)
    states = ["pending", "connected", "expired", "revoked", "error"]
    births, changes = outcomes(db, "integrations", states, lambda state: rows.integration(db, person, status=state))
    assert births == {"pending", "connected"}
    assert changes == {
        "pending>connected",
        "pending>error",
        "pending>revoked",
        "connected>expired",
        "connected>revoked",
        "connected>error",
        "expired>connected",
        "expired>revoked",
        "error>connected",
        "error>revoked",
        "revoked>pending",
        "revoked>connected",
    }


def test_an_assignment_follows_canvas_in_any_order(db: Connection) -> None:
    made = rows.assignment(db, persona(db), status="graded")
    for status in ("removed", "open", "submitted", "open", "graded"):
        db.execute("update public.assignments set status = %s where id = %s", (status, made))
    assert one(db, "select status from public.assignments where id = %s", (made,)) == "graded"


@pytest.mark.parametrize("domain", ["canvas.school.edu", "school.instructure.com", "127.0.0.1:8443", "localhost:3000"])
def test_hosts_are_taken(db: Connection, domain: str) -> None:
    assert rows.connection(db, instance_domain=domain)


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "Canvas.School.edu",
        "https://canvas.test",
        "canvas.test/path",
        "a@b.test",
        "canvas.test:",
        "c .test",
        "-x",
        "a?b",
    ],
)
def test_anything_but_a_plain_host_is_refused(db: Connection, domain: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        rows.connection(db, instance_domain=domain)


def test_one_installation_per_host(db: Connection) -> None:
    rows.connection(db, instance_domain="canvas.school.test")
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.connection(db, instance_domain="canvas.school.test")


def test_people_see_active_installations_and_staff_keeps_them(db: Connection) -> None:
    shown, hidden = rows.connection(db), rows.connection(db)
    db.execute("update public.lms_connections set status = 'disabled' where id = %s", (hidden,))
    person, admin = persona(db), persona(db, "admin")
    seen = "select id from public.lms_connections where id = any(%s)"
    with act_as(db, person):
        assert [row[0] for row in db.execute(seen, ([shown, hidden],))] == [shown]
        add = "insert into public.lms_connections (instance_domain, name) values ('x.test', 'X')"
        refused(db, "42501", add)
        refused(db, "42501", "update public.lms_connections set name = 'X'")
    with act_as(db, admin, "app_admin"):
        assert {row[0] for row in db.execute(seen, ([shown, hidden],))} == {shown, hidden}
        db.execute(add)
        assert db.execute("update public.lms_connections set name = 'Y' where id = %s", (hidden,)).rowcount == 1
        refused(db, "42501", "delete from public.lms_connections")
    with act_as(db, None, "anon"):
        refused(db, "42501", "select from public.lms_connections")


def test_an_installation_in_use_is_not_deleted(db: Connection) -> None:
    made = rows.connection(db)
    rows.integration(db, persona(db), lms_connection_id=made)
    with pytest.raises(psycopg.IntegrityError) as caught, db.transaction():
        db.execute("delete from public.lms_connections where id = %s", (made,))
    assert caught.value.sqlstate in ("23503", "23001")


def test_canvas_needs_an_installation(db: Connection) -> None:
    person = persona(db)
    refused(db, "23514", "insert into public.integrations (user_id, provider) values (%s, 'canvas')", (person,))
    db.execute("insert into public.integrations (user_id, provider) values (%s, 'google_calendar')", (person,))
    assert one(db, "select status from public.integrations where user_id = %s", (person,)) == "pending"


def test_a_canvas_person_belongs_to_one_account_until_disconnected(db: Connection) -> None:
    where = rows.connection(db)
    first = rows.integration(db, persona(db), lms_connection_id=where, external_user_id="77")
    second = persona(db)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.integration(db, second, lms_connection_id=where, external_user_id="77")
    db.execute("update public.integrations set status = 'revoked' where id = %s", (first,))
    rows.integration(db, second, lms_connection_id=where, external_user_id="77")
    refused(db, "23505", "update public.integrations set status = 'connected' where id = %s", (first,))


def test_a_child_never_belongs_to_another_person_than_its_parent(db: Connection) -> None:
    owner, other = persona(db), persona(db)
    grant = rows.integration(db, owner)
    course = rows.course(db, owner)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        rows.course(db, other, integration_id=grant)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        rows.assignment(db, other, course_id=course)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        rows.insert(db, "public.course_sync_state", {"user_id": other, "course_id": course})


def test_a_canvas_id_is_unique_per_grant_and_course_only(db: Connection) -> None:
    person = persona(db)
    grant = rows.integration(db, person)
    made = rows.course(db, person, integration_id=grant, canvas_course_id=10_000_000_000_123)
    rows.course(db, person, canvas_course_id=10_000_000_000_123)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.course(db, person, integration_id=grant, canvas_course_id=10_000_000_000_123)
    rows.assignment(db, person, course_id=made, canvas_assignment_id=5)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.assignment(db, person, course_id=made, canvas_assignment_id=5)
    state = {"user_id": person, "course_id": made}
    rows.insert(db, "public.course_sync_state", state)
    with pytest.raises(psycopg.errors.UniqueViolation), db.transaction():
        rows.insert(db, "public.course_sync_state", state)


@pytest.mark.parametrize(
    "column",
    [{"points_possible": -1}, {"submission": "[]"}, {"raw_payload": "[]"}],
    ids=["points", "submission", "raw"],
)
def test_values_that_make_no_sense_are_refused(db: Connection, column: dict[str, Any]) -> None:
    person = persona(db)
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        rows.assignment(db, person, **column)


def test_a_person_sees_his_own_and_switches_a_course_off(db: Connection) -> None:
    owner, other, teacher = persona(db), persona(db), persona(db, "teacher")
    course = rows.course(db, owner)
    rows.assignment(db, owner, course_id=course)
    rows.insert(db, "public.course_sync_state", {"user_id": owner, "course_id": course})
    tables = ("integrations", "courses", "assignments", "course_sync_state")
    with act_as(db, owner):
        for table in tables:
            assert one(db, f"select count(*) from public.{table}") == 1
            refused(db, "42501", f"delete from public.{table}")
            refused(db, "42501", f"insert into public.{table} default values")
        assert db.execute("update public.courses set is_hidden = true").rowcount == 1
        for change in (
            "courses set name = 'x'",
            "courses set is_active = false",
            "assignments set status = 'open'",
            "integrations set status = 'revoked'",
        ):
            refused(db, "42501", f"update public.{change}")
    for person, role in [(other, "authenticated"), (teacher, "authenticated"), (persona(db, "admin"), "app_admin")]:
        with act_as(db, person, role):
            for table in tables:
                assert one(db, f"select count(*) from public.{table} where user_id = %s", (owner,)) == 0
            switched = db.execute("update public.courses set is_hidden = false where id = %s", (course,))
            assert switched.rowcount == 0


def test_everything_goes_with_the_person_and_courses_with_the_grant(db: Connection) -> None:
    person = persona(db)
    grant = rows.integration(db, person)
    course = rows.course(db, person, integration_id=grant)
    made = rows.assignment(db, person, course_id=course)
    kept = rows.assignment(db, person)
    db.execute("delete from public.integrations where id = %s", (grant,))
    assert one(db, "select count(*) from public.assignments where id = %s", (made,)) == 0
    db.execute("delete from auth.users where id = %s", (person,))
    assert one(db, "select count(*) from public.assignments where id = %s", (kept,)) == 0


def test_upserts_of_the_sync_find_their_keys(db: Connection) -> None:
    person = persona(db)
    grant = rows.integration(db, person)
    upsert = (
        "insert into public.courses (user_id, integration_id, canvas_course_id, name) values (%s, %s, 9, %s)"
        " on conflict (integration_id, canvas_course_id) do update set name = excluded.name returning id"
    )
    with act_as(db, None, "service_role"):
        first = one(db, upsert, (person, grant, "A"))
        assert one(db, upsert, (person, grant, "B")) == first


def test_a_grant_at_an_unknown_installation_is_refused(db: Connection) -> None:
    insert = "insert into public.integrations (user_id, provider, lms_connection_id) values (%s, 'canvas', %s)"
    refused(db, "23503", insert, (persona(db), uuid.uuid4()))
