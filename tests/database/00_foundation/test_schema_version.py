"""Which migration the database has, told to the services alone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from functions.shared.schema_version import SCHEMA_VERSION

Connection = psycopg.Connection[Any]


def asked(db: Connection, role: str) -> Any:
    """What the function answers a role."""
    db.execute(f"set local role {role}")
    row = db.execute("select public.svc_schema_version()").fetchone()
    db.execute("reset role")
    return row


def test_the_services_learn_the_newest_migration(db: Connection) -> None:
    assert asked(db, "service_role") == (SCHEMA_VERSION,)
    db.execute("insert into supabase_migrations.schema_migrations (version) values ('29990101000000')")
    assert asked(db, "service_role") == ("29990101000000",)


def test_a_database_without_migrations_says_so(db: Connection) -> None:
    db.execute("alter schema supabase_migrations rename to elsewhere")
    assert asked(db, "service_role") == (None,)


@pytest.mark.parametrize("role", ["anon", "authenticated", "app_admin"])
def test_nobody_else_may_ask(db: Connection, role: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asked(db, role)
