"""A launch in SQL: what is used once, who holds a person's lock, and what is written about it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import lti_deployment, one

Connection = psycopg.Connection[Any]

FINISH = """
select (f).outcome from (select public.svc_finish_lti_launch(
    p_identity_id => %s, p_deployment => %s, p_message_type => 'LtiResourceLinkRequest', p_role => %s,
    p_ticket_hash => %s, p_binding_hash => 'b', p_context_id => 'c', p_canvas_user_id => %s) as f) as x
"""
LOCK = "select public.svc_lock_lti_user(%s, %s, 30)"


def managed(db: Connection, registration: uuid.UUID, sub: str) -> tuple[uuid.UUID, uuid.UUID]:
    """A person of a platform with a managed account: the identity and the account."""
    person = persona(db, "student")
    app = json.dumps({"lti": {"managed": True}})
    db.execute("update auth.users set raw_app_meta_data = %s where id = %s", (app, person))
    identity = one(db, "select identity_id from public.svc_reserve_lti_identity(%s, %s)", (registration, sub))
    db.execute("update private.lti_identities set user_id = %s where id = %s", (person, identity))
    return identity, person


def test_a_lock_is_held_by_one_until_it_is_given_back_or_its_holder_died(db: Connection) -> None:
    person, one_holder, other = (uuid.uuid4() for _ in range(3))
    freeze(db, "2026-03-02T09:00:00Z")
    with act_as(db, None, "service_role"):
        assert one(db, LOCK, (person, one_holder))
        assert one(db, LOCK, (person, one_holder))
        assert not one(db, LOCK, (person, other))
        db.execute("select public.svc_unlock_lti_user(%s, %s)", (person, other))
        assert not one(db, LOCK, (person, other))
        db.execute("select public.svc_unlock_lti_user(%s, %s)", (person, one_holder))
        assert one(db, LOCK, (person, other))
    freeze(db, "2026-03-02T09:00:31Z")
    assert one(db, LOCK, (person, one_holder))
    refused(db, "22023", "select public.svc_lock_lti_user(%s, %s, 301)", (person, other))
    freeze(db, "2026-03-04T09:00:00Z")
    assert one(db, "select private.purge_canvas() ->> 'lti_sign_in_locks'") == "1"


def test_two_subjects_of_one_canvas_user_are_two_teachers(db: Connection) -> None:
    _, registration, deployment = lti_deployment(db)
    for sub in ("sub-1", "sub-2"):
        identity, person = managed(db, registration, sub)
        with act_as(db, None, "service_role"):
            assert one(db, FINISH, (identity, deployment, "teacher", f"ticket-{sub}", "4711")) == "ok"
        assert one(db, "select role::text from public.profiles where user_id = %s", (person,)) == "teacher"
        kept = one(db, "select canvas_user_id from public.teachers where id = %s", (person,))
        assert kept == ("4711" if sub == "sub-1" else "sub-2")
    written = db.execute(
        "select action, detail::text from private.audit_log where entity = 'lti_launches' order by id desc limit 2"
    ).fetchall()
    assert [action for action, _ in written] == ["launch", "launch"]
    assert not any("ticket" in detail for _, detail in written)


def test_a_managed_address_stays_and_the_account_can_be_blurred(db: Connection) -> None:
    _, registration, _ = lti_deployment(db)
    _, person = managed(db, registration, "sub")
    for change in ("email = 'own@example.test'", "email_change = 'own@example.test'", "phone = '4915112345'"):
        refused(db, "42501", f"update auth.users set {change} where id = %s", (person,))
    db.execute("update auth.users set email = 'deleted-1', deleted_at = now() where id = %s", (person,))
    own = persona(db)
    db.execute("update auth.users set email = 'own@example.test' where id = %s", (own,))


@pytest.mark.parametrize("role", ["anon", "authenticated", "app_admin"])
def test_only_the_service_takes_tickets(db: Connection, role: str) -> None:
    with act_as(db, persona(db), role):
        refused(db, "42501", "select * from public.svc_take_lti_ticket('t', '{b}')")
