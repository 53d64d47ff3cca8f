"""The hook that Auth runs for every token."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]


def run(db: Connection, person: Any, method: str | None = "password", app: Any = None) -> Any:
    """The hook's answer for a person, asked as Auth asks."""
    claims = {"sub": str(person), "role": "authenticated", "aal": "aal1", "app_metadata": app or {"provider": "email"}}
    event = {"user_id": str(person), "claims": claims, "authentication_method": method, "metadata": {}}
    with db.transaction():
        db.execute("set local role supabase_auth_admin")
        answer = one(db, "select private.custom_access_token(%s)", (json.dumps(event),))
        db.execute("reset role")
    return answer


@pytest.mark.parametrize("role", ["student", "tutor", "parent", "teacher"])
def test_the_role_of_the_profile_is_added(db: Connection, role: str) -> None:
    person = persona(db, role)
    claims = run(db, person)["claims"]
    assert claims == {
        "sub": str(person),
        "role": "authenticated",
        "aal": "aal1",
        "app_metadata": {"provider": "email"},
        "user_role": role,
    }


def test_staff_gets_the_database_role(db: Connection) -> None:
    claims = run(db, persona(db, "admin"))["claims"]
    assert (claims["user_role"], claims["role"]) == ("admin", "app_admin")


def test_a_role_taken_away_is_gone_from_the_next_token(db: Connection) -> None:
    person = persona(db, "admin")
    db.execute("update public.profiles set role = 'teacher' where user_id = %s", (person,))
    claims = run(db, person, "token_refresh")["claims"]
    assert (claims["user_role"], claims["role"]) == ("teacher", "authenticated")


def test_an_account_without_profile_counts_as_student(db: Connection) -> None:
    claims = run(db, uuid.uuid4())["claims"]
    assert (claims["user_role"], claims["role"]) == ("student", "authenticated")


def test_a_role_in_the_metadata_of_the_token_counts_for_nothing(db: Connection) -> None:
    claims = run(db, persona(db), app={"role": "admin"})["claims"]
    assert (claims["user_role"], claims["role"]) == ("student", "authenticated")


MANAGED = {"provider": "email", "lti": {"managed": True}}


@pytest.mark.parametrize("method", ["otp", "token_refresh"])
def test_a_managed_account_signs_in_by_our_link(db: Connection, method: str) -> None:
    assert run(db, persona(db, "teacher"), method, MANAGED)["claims"]["user_role"] == "teacher"


@pytest.mark.parametrize("method", ["password", "oauth", "sso/saml", "anonymous", "recovery", "", None])
def test_a_managed_account_signs_in_by_nothing_else(db: Connection, method: str | None) -> None:
    answer = run(db, persona(db, "teacher"), method, MANAGED)
    assert list(answer) == ["error"]
    assert answer["error"]["http_code"] == 403
    assert "Canvas" in answer["error"]["message"]


@pytest.mark.parametrize("app", [{"lti": {"managed": False}}, {"lti": {}}, {"lti": None}, {"lti": "x"}])
def test_a_linked_account_keeps_its_password(db: Connection, app: Any) -> None:
    assert "error" not in run(db, persona(db), "password", app)


@pytest.mark.parametrize("role", ["anon", "authenticated", "app_admin", "service_role"])
def test_nobody_else_may_run_it(db: Connection, role: str) -> None:
    with act_as(db, persona(db), role):
        refused(db, "42501", "select private.custom_access_token('{}')")


def test_auth_reads_roles_and_writes_nothing(db: Connection) -> None:
    db.execute("set local role supabase_auth_admin")
    refused(db, "42501", "update public.profiles set role = 'admin'")
    refused(db, "42501", "select from public.user_settings")
    refused(db, "42501", "select from private.audit_log")
