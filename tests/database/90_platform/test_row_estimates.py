"""A session of REST cannot explain a query on what clients read; it can run it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.people import refused

Connection = psycopg.Connection[Any]


@pytest.fixture
def rest(db_url: str) -> Iterator[Connection]:
    """A connection as PostgREST has it, in a transaction that is rolled back."""
    with psycopg.connect(make_conninfo(db_url, user="authenticator")) as connection:
        yield connection
        connection.rollback()


def readable(db: Connection, role: str) -> list[str]:
    """Tables and views that this role may select from."""
    return [
        name
        for (name,) in db.execute(
            "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'p', 'v') and has_table_privilege(%s, oid, 'select') order by 1",
            (role,),
        )
    ]


@pytest.mark.parametrize("role", ["anon", "authenticated", "app_admin"])
def test_clients_explain_nothing(db: Connection, rest: Connection, role: str) -> None:
    names = readable(db, role)
    assert names
    rest.execute(f"set local role {role}".encode())
    for name in names:
        for words in ("explain", "EXPLAIN (FORMAT JSON)", "\n explain (analyze, costs)"):
            said = refused(rest, "42501", f"{words} select 1 from {name}")
            assert "estimated row counts are refused" in said
        rest.execute(f"select 1 from {name} limit 0".encode())


def test_prepared_queries_are_planned_without_a_trace_of_it(db: Connection) -> None:
    """The condition is gone before the query runs: it costs nothing and hides no index."""
    db.execute("set local role authenticated")
    plan = db.execute("explain (verbose) select * from public.notifications where user_id = gen_random_uuid()")
    assert "not_explained" not in " ".join(line for (line,) in plan)


def test_others_may_explain(db: Connection, rest: Connection) -> None:
    rest.execute("set local role service_role")
    assert rest.execute("explain select 1 from public.notifications").fetchone()
    db.execute("set local role authenticated")
    assert db.execute("explain select 1 from public.notifications").fetchone()


def test_the_request_hook_is_registered_for_rest(db: Connection) -> None:
    settings = db.execute(
        "select setconfig from pg_db_role_setting where setrole = 'authenticator'::regrole and setdatabase = 0"
    ).fetchone()
    assert settings is not None
    assert "pgrst.db_pre_request=hooks.before_request" in settings[0]
    hooks = db.execute("select proname from pg_proc where pronamespace = 'hooks'::regnamespace").fetchall()
    assert hooks == [("before_request",)], "PostgREST calls one function; the schema is for nothing else"
