"""What is created later has no rights for others, whatever defaults the platform once had."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, refused

Connection = psycopg.Connection[Any]

API_ROLES = ["anon", "authenticated", "app_admin", "service_role"]

PROBES = """
    create table {0}.probe (id int primary key) partition by range (id);
    create table {0}.probe_1 partition of {0}.probe for values from (0) to (10);
    create table {0}.probe_plain (id int generated always as identity);
    create view {0}.probe_view as select 1 as one;
    create sequence {0}.probe_numbers;
    create function {0}.probe_answer() returns int language sql immutable set search_path = '' as 'select 42';
"""


@pytest.mark.parametrize("schema", ["public", "private"])
def test_new_objects_come_out_without_api_rights(db: Connection, schema: str) -> None:
    db.execute(PROBES.format(schema).encode())
    granted = db.execute(
        """
        select c.relname, coalesce(r.rolname, 'public'), a.privilege_type
        from pg_class as c cross join lateral aclexplode(coalesce(c.relacl, acldefault(
            (case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner))) as a
        left join pg_roles as r on r.oid = a.grantee
        where c.relnamespace = %(schema)s::regnamespace and c.relname like 'probe%%' and a.grantee <> c.relowner
        union all
        select p.proname, coalesce(r.rolname, 'public'), a.privilege_type
        from pg_proc as p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
        left join pg_roles as r on r.oid = a.grantee
        where p.pronamespace = %(schema)s::regnamespace and p.proname like 'probe%%' and a.grantee <> p.proowner
        """,
        {"schema": schema},
    ).fetchall()
    assert granted == []


@pytest.mark.parametrize("role", API_ROLES)
def test_a_new_function_cannot_be_called_and_a_new_table_cannot_be_read(db: Connection, role: str) -> None:
    db.execute(PROBES.format("public").encode())
    with act_as(db, None, role):
        for statement in ("select public.probe_answer()", "select from public.probe", "select from public.probe_1"):
            refused(db, "42501", statement)


@pytest.mark.parametrize("role", API_ROLES)
def test_no_api_role_may_use_private_or_create_in_public(db: Connection, role: str) -> None:
    row = db.execute(
        "select has_schema_privilege(%(role)s, 'private', 'usage'),"
        " has_schema_privilege(%(role)s, 'private', 'create'),"
        " has_schema_privilege(%(role)s, 'public', 'usage'), has_schema_privilege(%(role)s, 'public', 'create')",
        {"role": role},
    ).fetchone()
    assert row == (False, False, True, False)


def test_staff_is_a_role_that_cannot_log_in_and_inherits_what_everybody_may(db: Connection) -> None:
    row = db.execute(
        "select rolcanlogin, rolsuper, rolbypassrls, rolinherit, pg_has_role('app_admin', 'authenticated', 'usage'),"
        " pg_has_role('authenticator', 'app_admin', 'member') from pg_roles where rolname = 'app_admin'"
    ).fetchone()
    assert row == (False, False, False, True, True, True)


def test_a_requests_session_may_become_staff_but_is_not_staff_by_itself(db: Connection) -> None:
    row = db.execute("select rolinherit from pg_roles where rolname = 'authenticator'").fetchone()
    assert row == (False,)
