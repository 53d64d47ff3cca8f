"""The design (sql/ and policies/) and the history (supabase/migrations) lead to the same database."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from scripts.native import schema
from scripts.native.auth import AUTH_SCHEMA, migrate_real_auth
from scripts.native.catalogue import catalogue
from scripts.native.stack import Stack

DESIGN = "design_alone"


@pytest.fixture(scope="module")
def design_url(stack: Stack) -> Iterator[str]:
    """A second database on the same server, built from the design instead of the history."""
    stack.server.execute(f"create database {DESIGN} template template0", user="supabase_admin")
    try:
        stack.server.bootstrap(None if stack.auth_is_real else AUTH_SCHEMA, database=DESIGN)
        if stack.auth_is_real:
            migrate_real_auth(stack.server, DESIGN)
        stack.server.psql(*schema.design(), database=DESIGN)
        yield stack.server.url(database=DESIGN)
    finally:
        stack.server.execute(f"drop database {DESIGN} with (force)", user="supabase_admin")


def lines(url: str) -> set[str]:
    """The catalogue of the database at ``url``."""
    with psycopg.connect(url) as connection:
        return catalogue(connection)


def test_design_and_history_build_the_same_catalogue(stack: Stack, design_url: str) -> None:
    history, design = lines(stack.db_url), lines(design_url)
    assert sorted(history - design) == [], "only in the database built from supabase/migrations"
    assert sorted(design - history) == [], "only in the database built from sql/ and policies/"
    assert len(design) > 1000, "the comparison looks at something"


@pytest.mark.parametrize(
    "drift",
    [
        "alter table public.profiles alter column timezone set default 'Europe/Berlin'",
        "comment on column public.profiles.timezone is 'changed'",
        "grant truncate on public.profiles to authenticated",
        "grant update (role) on public.profiles to authenticated",
        "alter table public.profiles disable row level security",
        "create index extra_idx on public.profiles (created_at)",
        "alter function private.clock() set search_path = 'public'",
        "alter default privileges for role postgres grant execute on functions to public",
        "alter view public.v_student_progress set (security_invoker = false)",
        "alter table public.profiles alter column avatar_url type varchar(500)",
    ],
)
def test_the_comparison_sees_a_difference(design_url: str, drift: str) -> None:
    with psycopg.connect(design_url) as connection:
        before = catalogue(connection)
        connection.execute(drift.encode())
        assert catalogue(connection) != before
        connection.rollback()
