"""``./scripts/bench policy-mutants``: would the database's tests notice if a right were wrong?

Over the whole schema, one change at a time: a policy dropped, its ``using`` or ``with check`` turned into true, row
level security switched off, a column granted again, a function's search path let loose, an execute right given away, a
view turned definer, a condition struck from a function that policies ask. Each change is made in a transaction with the
seeded school in it and the very functions of tests/database/guards and tests/database/access are called on it; what
they miss is made in a copy of the database, and the tests of the rooms run there. Prints killed and total by kind, and
the survivors.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from scripts.native import access
from scripts.native.paths import REPO
from scripts.native.stack import Options, Stack
from tests.database.access import test_cells, test_unfiltered
from tests.database.guards import test_catalogue, test_privileges
from tests.support.school import School

Connection = psycopg.Connection[Any]
WANTED_SHARE = 0.95
MATRIX = access.read()


@dataclass(frozen=True)
class Mutant:
    """One change; ``table`` is the relation whose cells are tried first, None for all of them."""

    kind: str
    name: str
    statement: str
    table: str | None = None


OF_GRANTS = {"anon select", "truncate", "column granted", "anon execute", "client execute"}
EVERYWHERE = {"helper condition"}  # what policies of many tables ask

POLICIES = """
    select p.polname, c.relnamespace::regnamespace::text, c.relname, pg_get_expr(p.polqual, p.polrelid),
           pg_get_expr(p.polwithcheck, p.polrelid)
    from pg_policy p join pg_class c on c.oid = p.polrelid
    where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) order by 2, 3, 1"""
TABLES = """
    select relnamespace::regnamespace::text, relname from pg_class
    where relnamespace in ('public'::regnamespace, 'private'::regnamespace) and relkind in ('r', 'p') order by 1, 2"""
COLUMNS = """
    select c.relname, a.attname, v.verb
    from pg_class c join pg_attribute a on a.attrelid = c.oid, unnest(array['insert', 'update']) as v (verb)
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
      and not has_column_privilege('authenticated', c.oid, a.attnum, v.verb) order by 1, 2, 3"""
FUNCTIONS = """
    select p.oid::regprocedure::text, p.prosecdef, n.nspname, p.prorettype = 'trigger'::regtype,
           has_function_privilege('authenticated', p.oid, 'execute')
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('public', 'private') order by 1"""
HELPERS = """
    select p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    from pg_proc p where p.pronamespace = 'private'::regnamespace and p.provolatile = 's' and p.prosecdef
      and has_function_privilege('authenticated', p.oid, 'execute') order by 1"""
VIEWS = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v' order by 1"


def of_policies(db: Connection) -> Iterator[Mutant]:
    """Dropped; let through on either side."""
    for name, schema, table, using, check in db.execute(POLICIES).fetchall():
        on, cells = f"{name} on {schema}.{table}", table if schema == "public" else None
        yield Mutant("policy dropped", on, f"drop policy {on}", cells)
        if using not in (None, "true"):
            yield Mutant("using true", on, f"alter policy {on} using (true)", cells)
        if check not in (None, "true"):
            yield Mutant("check true", on, f"alter policy {on} with check (true)", cells)


def of_tables(db: Connection) -> Iterator[Mutant]:
    """Row level security off; rights of whole tables given away; columns granted again."""
    for schema, table in db.execute(TABLES).fetchall():
        name, cells = f"{schema}.{table}", table if schema == "public" else None
        yield Mutant("rls off", name, f"alter table {name} disable row level security", cells)
        yield Mutant("anon select", name, f"grant select on {name} to anon", cells)
        yield Mutant("truncate", name, f"grant truncate on {name} to authenticated", cells)
    for table, column, verb in db.execute(COLUMNS).fetchall():
        statement = f"grant {verb} ({column}) on public.{table} to authenticated"
        yield Mutant("column granted", f"{verb} {table}.{column}", statement, table)


def of_functions(db: Connection) -> Iterator[Mutant]:
    """Search path let loose; execute for anon; for everybody signed in where it was the service's."""
    for name, definer, schema, trigger, for_clients in db.execute(FUNCTIONS).fetchall():
        yield Mutant("search path", name, f"alter function {name} reset search_path")
        if not trigger:
            yield Mutant("anon execute", name, f"grant execute on function {name} to anon")
        if schema == "public" and not for_clients:
            yield Mutant("client execute", name, f"grant execute on function {name} to authenticated")
        if schema == "public" and for_clients and not definer:
            yield Mutant("definer in the open", name, f"alter function {name} security definer")


def of_views(db: Connection) -> Iterator[Mutant]:
    """The owner's eyes instead of the reader's."""
    for (view,) in db.execute(VIEWS).fetchall():
        yield Mutant("definer view", view, f"alter view public.{view} set (security_invoker = false)", view)
        yield Mutant("anon select", view, f"grant select on public.{view} to anon", view)


CONDITION = re.compile(
    r"\b\w+\.?(?:status|role|end_date|start_date|valid_until|subject_id|tutor_id|parent_id|student_id|escalated_to_tutor_id)"
    r"\s+(?:=|>=|<=|is|is not)\s+(?:'\w+'|null|v_\w+|auth\.uid\(\)|p_\w+|private\.\w+\(\))"
)


def of_helpers(db: Connection) -> Iterator[Mutant]:
    """A condition struck from what policies ask: who tutors, who guards, whose thread it is."""
    for name, definition in db.execute(HELPERS).fetchall():
        for number, found in enumerate(CONDITION.finditer(definition)):
            changed = definition[: found.start()] + "true" + definition[found.end() :]
            yield Mutant("helper condition", f"{name} #{number}: {found[0]}", changed)


def mutants(db: Connection) -> list[Mutant]:
    """All of them."""
    return [m for kind in (of_policies, of_tables, of_functions, of_views, of_helpers) for m in kind(db)]


def checks(school: School, mutant: Mutant) -> Iterator[tuple[str, Callable[[], object]]]:
    """The tests to call, the likeliest first."""
    db = school.db
    if mutant.kind in OF_GRANTS:
        yield "privileges", lambda: test_privileges.test_rights_are_those_of_the_manifest(db)
    if mutant.table in MATRIX.relations:
        yield "access matrix", lambda: test_cells.test_cells_are_as_written(school, str(mutant.table))
    if mutant.kind == "using true" and mutant.table in test_unfiltered.TABLES:
        yield (
            "unfiltered writes",
            lambda: test_unfiltered.test_a_write_without_a_condition_stays_within_sight(school, str(mutant.table)),
        )
    yield "guards", lambda: _no_offenders(db)
    if mutant.kind in EVERYWHERE:
        for name in MATRIX.relations:
            if name != mutant.table:
                yield "access matrix", lambda name=name: test_cells.test_cells_are_as_written(school, name)  # type: ignore[misc]


def _no_offenders(db: Connection) -> None:
    for guard in test_catalogue.GUARDS:
        assert test_catalogue.offenders(db, guard) == [], guard.name


def killed_by(school: School, mutant: Mutant) -> str | None:
    """The first test that turns red, or None; the change is undone."""
    db = school.db
    try:
        with db.transaction(force_rollback=True):
            db.execute(mutant.statement.encode())
            for name, check in checks(school, mutant):
                try:
                    with db.transaction(force_rollback=True):
                        check()
                except (AssertionError, psycopg.Error, pytest.fail.Exception):
                    return name
    except psycopg.Error as error:
        return f"refused by the database ({error.sqlstate})"
    return None


def killed_by_room(stack: Stack, mutant: Mutant, number: int) -> bool:
    """Whether the tests of tests/database turn red on a copy of the database with this change."""
    copy = f"mutant_{number}"
    stack.server.execute(f"create database {copy} template school", user="supabase_admin")
    try:
        stack.server.execute(mutant.statement, database=copy)
        environment = {**os.environ, "SUPABASE_DB_URL": stack.server.url(database=copy)}
        ignored = [f"--ignore=tests/database/{room}" for room in ("history", "access", "guards")]
        command = [sys.executable, "-m", "pytest", "tests/database", "-q", "-x", "-p", "no:cacheprovider", *ignored]
        done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
        return done.returncode == 1
    finally:
        stack.server.execute(f"drop database {copy} with (force)", user="supabase_admin")


def main(argv: list[str]) -> int:
    """Runs all mutants; 1 when fewer than 95 in 100 are noticed."""
    parser = argparse.ArgumentParser(prog="./scripts/bench policy-mutants", description=__doc__)
    parser.add_argument("--kind", help="only mutants of this kind")
    parser.add_argument("--without-rooms", action="store_true", help="do not try survivors on the rooms' tests")
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    with Stack(Options(without=frozenset({"functions", "worker", "model"}), quiet=True)) as stack:
        # the running parts keep connections to the database, and a template may have none
        stack.server.execute("create database school", user="supabase_admin")
        dump_into(stack, "school")
        with psycopg.connect(stack.server.url(database="school")) as db:
            chosen = [m for m in mutants(db) if arguments.kind in (None, m.kind)]
            school = School(db)
            verdicts: dict[Mutant, str | None] = {}
            for number, mutant in enumerate(chosen, 1):
                verdicts[mutant] = killed_by(school, mutant)
                if number % 100 == 0:
                    print(f"{number} of {len(chosen)} after {time.monotonic() - began:.0f} s", flush=True)
            db.rollback()
        survivors = [mutant for mutant, by in verdicts.items() if by is None]
        print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed by guards and matrix", flush=True)
        for number, mutant in enumerate([] if arguments.without_rooms else survivors):
            if killed_by_room(stack, mutant, number):
                verdicts[mutant] = "the rooms' tests"
    return report(verdicts, time.monotonic() - began)


def dump_into(stack: Stack, database: str) -> None:
    """Builds another database of the same server from the history, as the stack's own was."""
    from scripts.native import schema
    from scripts.native.stack import AUTH_SCHEMA

    stack.server.bootstrap(AUTH_SCHEMA, database=database)
    stack.server.psql(*schema.design(), database=database)


def report(verdicts: dict[Mutant, str | None], seconds: float) -> int:
    """The table and the survivors; 1 when too many live."""
    total = Counter(mutant.kind for mutant in verdicts)
    killed = Counter(mutant.kind for mutant, by in verdicts.items() if by)
    print(f"\n{'kind':22} {'killed':>6} {'total':>6}")
    for kind in total:
        print(f"{kind:22} {killed[kind]:6} {total[kind]:6}")
    print(
        "\nnoticed first by: "
        + ", ".join(f"{by} {n}" for by, n in Counter(filter(None, verdicts.values())).most_common())
    )
    for mutant, by in verdicts.items():
        if by is None:
            print(f"SURVIVED {mutant.kind}: {mutant.name}")
    share = killed.total() / max(1, total.total())
    print(f"\n{killed.total()} of {total.total()} killed ({share:.1%}) in {seconds:.0f} s")
    return 0 if share >= WANTED_SHARE else 1
