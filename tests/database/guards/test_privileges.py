"""The exact privilege manifest, and a probe: what a migration creates without grants belongs to the owner alone."""

from __future__ import annotations

import difflib
from typing import Any

import psycopg
import pytest

from scripts.native import privileges

API_ROLES = (
    "anon",
    "authenticated",
    "app_admin",
    "service_role",
    "supabase_auth_admin",
)


def difference(db: psycopg.Connection[Any]) -> list[str]:
    """Lines that the manifest and the database do not share."""
    written = privileges.MANIFEST.read_text().splitlines()
    found = privileges.manifest(db).splitlines()
    return list(difflib.unified_diff(written, found, "policies/privileges.txt", "the database", lineterm="", n=1))


def test_rights_are_those_of_the_manifest(db: psycopg.Connection[Any]) -> None:
    assert difference(db) == [], "meant? python -m scripts.native.privileges > policies/privileges.txt"


@pytest.mark.parametrize(
    "change",
    [
        "grant select on public.payment_events to anon",
        "grant update (role) on public.profiles to authenticated",
        "grant insert on public.profiles to authenticated",
        "grant truncate on public.goals to app_admin",
        "grant references on public.goals to authenticated",
        "grant trigger on public.goals to authenticated",
        "grant usage on sequence public.messages_seq_seq to authenticated",
        "grant usage on schema private to service_role",
        "grant create on schema public to authenticated",
        "grant execute on function public.svc_purge_expired() to public",
        "revoke select on public.goals from authenticated",
        "alter default privileges for role postgres in schema public grant select on tables to anon",
        "alter default privileges for role postgres grant execute on functions to public",
        "create table public.probe (id int primary key)",
    ],
)
def test_the_manifest_notices(db: psycopg.Connection[Any], change: str) -> None:
    db.execute(change.encode())
    assert difference(db)


@pytest.mark.parametrize("schema", ["public", "private"])
def test_a_probe_migration_comes_out_shut(db: psycopg.Connection[Any], schema: str) -> None:
    """No right for any role of the API on a new table, partition, view, sequence or function; PUBLIC included."""
    db.execute(
        f"""
        create table {schema}.probe (id bigint generated always as identity, day date) partition by range (day);
        create table {schema}.probe_part partition of {schema}.probe
            for values from ('2026-01-01') to ('2027-01-01');
        create table {schema}.probe_serial (id bigserial primary key);
        create view {schema}.probe_view with (security_invoker = true) as select id from {schema}.probe;
        create sequence {schema}.probe_seq;
        create function {schema}.probe_function() returns int language sql set search_path = '' as 'select 1';
        create procedure {schema}.probe_procedure() language sql set search_path = '' as 'select 1';
        """.encode()
    )
    relations = ("probe", "probe_part", "probe_serial", "probe_view")
    sequences = ("probe_seq", "probe_id_seq", "probe_serial_id_seq")
    for role in API_ROLES:
        for name in relations:
            for right in ("select", "insert", "update", "delete", "truncate", "references", "trigger"):
                held = db.execute(
                    "select has_table_privilege(%s, %s, %s)", (role, f"{schema}.{name}", right)
                ).fetchone()
                assert held == (False,), (role, name, right)
            held = db.execute(
                "select has_any_column_privilege(%s, %s, 'select, insert, update, references')",
                (role, f"{schema}.{name}"),
            ).fetchone()
            assert held == (False,), (role, name)
        for name in sequences:
            held = db.execute(
                "select has_sequence_privilege(%s, %s, 'usage, select, update')", (role, f"{schema}.{name}")
            ).fetchone()
            assert held == (False,), (role, name)
        for name in ("probe_function", "probe_procedure"):
            held = db.execute(
                "select has_function_privilege(%s, %s, 'execute')", (role, f"{schema}.{name}()")
            ).fetchone()
            assert held == (False,), (role, name)
