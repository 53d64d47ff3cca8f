"""People in SQL: making them and acting as them, for tests that speak to the database directly."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]

PERSON = """
    insert into auth.users (id, instance_id, aud, role, email, raw_app_meta_data, raw_user_meta_data,
                            is_anonymous, created_at, updated_at, email_confirmed_at,
                            confirmation_token, recovery_token, email_change_token_new, email_change)
    values (%(id)s, '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', %(email)s,
            %(app)s, '{}', %(anonymous)s, now(), now(), now(), '', '', '', '')
"""


def persona(db: Connection, role: str = "student", *, name: str | None = None, anonymous: bool = False) -> uuid.UUID:
    """Makes an account whose profile has ``role``, as an administrator would, and returns its id."""
    person = uuid.uuid4()
    app = json.dumps({"provider": "email", "providers": ["email"], "role": role})
    email = None if anonymous else f"{name or role}-{person.hex[:10]}@example.test"
    db.execute(PERSON, {"id": person, "email": email, "app": app, "anonymous": anonymous})
    if name:
        db.execute("update public.profiles set display_name = %s where user_id = %s", (name, person))
    return person


def claims_of(person: uuid.UUID | None, role: str, **claims: Any) -> str:
    """The claims PostgREST would hand to the database for this caller, every one our rules read included."""
    base: dict[str, Any] = {"role": role, "aal": "aal1", "is_anonymous": False}
    if person is not None:
        base |= {"sub": str(person), "aud": "authenticated", "session_id": str(uuid.uuid4())}
    return json.dumps(base | claims)


def become(db: Connection, person: uuid.UUID | None, role: str = "authenticated", **claims: Any) -> None:
    """Turns the transaction into this caller's, as PostgREST does; ``reset role`` ends it."""
    db.execute("select set_config('request.jwt.claims', %s, true)", (claims_of(person, role, **claims),))
    db.execute(psycopg.sql.SQL("set local role {}").format(psycopg.sql.Identifier(role)))


def become_owner(db: Connection) -> None:
    """Back to the role that owns the schema, with no caller."""
    db.execute("reset role")
    db.execute("select set_config('request.jwt.claims', '', true)")


@contextmanager
def act_as(
    db: Connection, person: uuid.UUID | None, role: str = "authenticated", **claims: Any
) -> Iterator[Connection]:
    """Inside the block the transaction is this caller's.

    A statement may fail inside: the block is a savepoint, rolled back when it raises, kept otherwise.
    """
    with db.transaction():
        become(db, person, role, **claims)
        yield db
        become_owner(db)


def refused(db: Connection, sqlstate: str, statement: str, parameters: Any = None) -> str:
    """Asserts that a statement fails with this SQLSTATE and changes nothing; its message."""
    with pytest.raises(psycopg.Error) as caught, db.transaction():
        db.execute(statement.encode(), parameters)
    assert caught.value.sqlstate == sqlstate, f"{caught.value.sqlstate} instead of {sqlstate}: {caught.value}"
    return str(caught.value)


def freeze(db: Connection, moment: str) -> None:
    """Stops ``private.clock()`` at a moment (ISO 8601) for the rest of the transaction."""
    db.execute("select set_config('app.frozen_now', %s, true)", (moment,))
