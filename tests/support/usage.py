"""Quotas in tests, as plans will set them."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from tests.support.rows import one

Connection = psycopg.Connection[Any]
TERMS = "select pg_get_functiondef('private.usage_terms(uuid, text)'::regprocedure)"


def limit(db: Connection, amount: int, person: uuid.UUID | None = None) -> None:
    """What a plan will do: every meter of this person, or of everybody, has this limit."""
    terms = str(one(db, TERMS))
    assert "null::bigint" in terms
    who = "true" if person is None else f"p_user_id = '{person}'"
    db.execute(terms.replace("null::bigint", f"(case when {who} then {amount} end)::bigint").encode())
