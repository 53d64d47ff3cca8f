"""The auth schema is the one the real server's migrations leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import Connection, act_as, become, persona, refused

RECORDED = json.loads(Path(__file__).with_name("auth_schema.json").read_text())
COLUMNS = """
    select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid), a.attgenerated
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
"""
CONSTRAINTS = "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass"
INDEXES = """
    select c.relname, pg_get_indexdef(c.oid) from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid = %s::regclass
"""
TABLES = "select relname from pg_class where relnamespace = 'auth'::regnamespace and relkind = 'r' order by relname"


def described(db: Connection, table: str) -> dict[str, Any]:
    """Columns, constraints, indexes and row security of ``schema.table``, as recordings tell them."""
    columns = []
    for name, kind, not_null, default, generated in db.execute(COLUMNS, (table,)):
        column = {"name": name, "type": kind, "not_null": not_null}
        if default is not None:
            column["generated" if generated else "default"] = default
        columns.append(column)
    security = db.execute("select relrowsecurity from pg_class where oid = %s::regclass", (table,)).fetchone()
    return {
        "columns": columns,
        "constraints": dict(db.execute(CONSTRAINTS, (table,)).fetchall()),
        "indexes": dict(db.execute(INDEXES, (table,)).fetchall()),
        "row_security": security is not None and security[0],
    }


def test_every_table_is_there_and_no_other(db: Connection) -> None:
    assert [name for (name,) in db.execute(TABLES)] == RECORDED["all_tables"]


@pytest.mark.parametrize("table", sorted(RECORDED["tables"]))
def test_table_is_as_recorded(db: Connection, table: str) -> None:
    db.execute("set local search_path = ''")  # names are written out, as they were when recorded
    assert described(db, f"auth.{table}") == RECORDED["tables"][table]


def test_enums_are_as_recorded(db: Connection) -> None:
    rows = db.execute(
        "select t.typname, array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e"
        " join pg_type t on t.oid = e.enumtypid where t.typnamespace = 'auth'::regnamespace group by t.typname"
    )
    assert dict(rows.fetchall()) == RECORDED["enums"]


def test_auth_owns_its_tables_and_callers_may_not_read_them(db: Connection) -> None:
    owners = db.execute(
        "select distinct relowner::regrole::text from pg_class where relnamespace = 'auth'::regnamespace"
        " and relkind = 'r'"
    ).fetchall()
    assert owners == [("supabase_auth_admin",)]
    person = persona(db)
    for role in ("anon", "authenticated", "service_role"):
        with act_as(db, person, role):
            refused(db, "42501", "select 1 from auth.users")


def test_policies_learn_who_calls(db: Connection) -> None:
    nobody = db.execute("select auth.uid(), auth.role(), auth.email(), auth.jwt()").fetchone()
    assert nobody == (None, None, None, None)
    person = persona(db)
    become(db, person, email="ada@example.test")
    row = db.execute("select auth.uid(), auth.role(), auth.email(), auth.jwt() ->> 'aal'").fetchone()
    assert row == (person, "authenticated", "ada@example.test", "aal1")


def test_the_owner_of_the_project_may_point_at_people(db: Connection) -> None:
    db.execute("create table public.pointing (user_id uuid not null references auth.users (id) on delete cascade)")
    db.execute(
        "create function public.seen() returns trigger language plpgsql as $$ begin return new; end $$;"
        "create trigger trg_seen after insert on auth.users for each row execute function public.seen()"
    )
    person = persona(db)
    db.execute("insert into public.pointing values (%s)", (person,))
    db.execute("delete from auth.users where id = %s", (person,))
    left = db.execute("select count(*) from public.pointing").fetchone()
    assert left == (0,)
