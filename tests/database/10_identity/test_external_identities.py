"""Identities at providers that nobody signs in with any more."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from tests.support.people import act_as, persona, refused
from tests.support.rows import one

Connection = psycopg.Connection[Any]

LINK = "select public.svc_link_external_identity(%s, %s, %s, %s)"
FIND = "select public.svc_find_external_identity('cognito', %s, %s)"


def test_a_link_is_found_and_may_be_repeated(db: Connection) -> None:
    person = persona(db)
    with act_as(db, None, "service_role"):
        assert one(db, FIND, ("https://idp.test", "sub-1")) is None
        first = one(db, LINK, (person, "cognito", "https://idp.test", "sub-1"))
        assert one(db, LINK, (person, "cognito", "https://idp.test", "sub-1")) == first
        assert one(db, FIND, ("https://idp.test", "sub-1")) == person
        assert one(db, FIND, ("https://other.test", "sub-1")) is None


def test_anothers_identity_is_not_taken(db: Connection) -> None:
    person, other = persona(db), persona(db)
    with act_as(db, None, "service_role"):
        one(db, LINK, (person, "cognito", "https://idp.test", "sub-1"))
        refused(db, "PT409", LINK, (other, "cognito", "https://idp.test", "sub-1"))
        assert one(db, FIND, ("https://idp.test", "sub-1")) == person


def test_bad_arguments(db: Connection) -> None:
    person = persona(db)
    with act_as(db, None, "service_role"):
        refused(db, "22023", LINK, (person, "lti", "https://idp.test", "sub-1"))
        refused(db, "22004", LINK, (person, "cognito", None, "sub-1"))
        refused(db, "PT404", LINK, (uuid.uuid4(), "cognito", "https://idp.test", "sub-1"))
        refused(db, "23514", LINK, (person, "cognito", "https://idp.test", ""))


def test_it_goes_with_the_account(db: Connection) -> None:
    person = persona(db)
    one(db, LINK, (person, "cognito", "https://idp.test", "sub-1"))
    db.execute("delete from auth.users where id = %s", (person,))
    assert one(db, FIND, ("https://idp.test", "sub-1")) is None


def test_only_the_service_comes_here(db: Connection) -> None:
    person = persona(db)
    for role in ("anon", "authenticated", "app_admin"):
        with act_as(db, person, role):
            refused(db, "42501", LINK, (person, "cognito", "https://idp.test", "sub-1"))
            refused(db, "42501", FIND, ("https://idp.test", "sub-1"))
            refused(db, "42501", "select from private.external_identities")
