"""What could be wrong with a right: every change of one thing that ``./scripts/bench policy-mutants`` makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Mutant:
    """One change of the schema.

    ``table`` is the relation of public whose cells are tried first, ``command`` the one its policy is about;
    ``function`` (a regprocedure) or ``view`` is the helper that was changed.
    """

    kind: str
    name: str
    statement: str
    table: str | None = None
    command: str | None = None
    function: str | None = None
    view: str | None = None

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.kind}: {self.name}"

    @property
    def words(self) -> tuple[str, ...]:
        """What a test that is about this names: the table or the function, without its schema."""
        named = self.table or self.function or self.view or self.name
        return tuple(re.findall(r"\w+", named.partition("(")[0].rpartition(".")[2]))


POLICIES = """
    select p.polname, c.relnamespace::regnamespace::text, c.relname, pg_get_expr(p.polqual, p.polrelid),
           pg_get_expr(p.polwithcheck, p.polrelid),
           case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end
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
HELPER_VIEWS = """
    select oid::regclass::text, pg_get_viewdef(oid) from pg_class
    where relnamespace = 'private'::regnamespace and relkind = 'v' order by 1"""
VIEWS = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v' order by 1"


def of_policies(db: Connection) -> Iterator[Mutant]:
    """Dropped; let through on either side."""
    for name, schema, table, using, check, command in db.execute(POLICIES).fetchall():
        on, cells = f"{name} on {schema}.{table}", table if schema == "public" else None
        yield Mutant("policy dropped", on, f"drop policy {on}", cells, command)
        if using not in (None, "true"):
            yield Mutant("using true", on, f"alter policy {on} using (true)", cells, command)
        if check not in (None, "true"):
            yield Mutant("check true", on, f"alter policy {on} with check (true)", cells, command)


def of_tables(db: Connection) -> Iterator[Mutant]:
    """Row level security off; rights of whole tables given away; columns granted again."""
    for schema, table in db.execute(TABLES).fetchall():
        name, cells = f"{schema}.{table}", table if schema == "public" else None
        yield Mutant("rls off", name, f"alter table {name} disable row level security", cells)
        yield Mutant("anon select", name, f"grant select on {name} to anon", cells, "select")
        yield Mutant("truncate", name, f"grant truncate on {name} to authenticated", cells)
    for table, column, verb in db.execute(COLUMNS).fetchall():
        statement = f"grant {verb} ({column}) on public.{table} to authenticated"
        yield Mutant("column granted", f"{verb} {table}.{column}", statement, table, verb)


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
        yield Mutant("anon select", view, f"grant select on public.{view} to anon", view, "select")


COLUMN = (
    r"\b(?:\w+\.)?(?:user_id|student_id|tutor_id|parent_id|teacher_id|subject_id|escalated_to_tutor_id|status|role"
    r"|start_date|end_date|valid_until|ended_at)"
)
VALUE = (
    r"(?:'\w+'|\('\w+'(?:, '\w+')*\)|null|\(\s*select (?:auth|private)\.\w+\(\)(?: as \w+)?\)|auth\.uid\(\)"
    r"|private\.\w+\(\)|[vp]_\w+|any \(private\.\w+\(\)\))(?:::[\w.]+)?"
)
CONDITION = re.compile(rf"{COLUMN}\s+(?:=|>=|<=|is not|is|in)\s+{VALUE}", re.IGNORECASE)


def of_helpers(db: Connection) -> Iterator[Mutant]:
    """A condition struck from what policies ask: who tutors, who guards, whose thread it is."""
    for name, definition in db.execute(HELPERS).fetchall():
        for title, changed in without_a_condition(definition):
            yield Mutant("helper condition", f"{name} {title}", changed, function=name)
    for name, definition in db.execute(HELPER_VIEWS).fetchall():
        for title, changed in without_a_condition(definition):
            statement = f"create or replace view {name} as {changed}"
            yield Mutant("helper condition", f"{name} {title}", statement, view=name)


def without_a_condition(definition: str) -> Iterator[tuple[str, str]]:
    """The definition with one condition after another replaced by true, and which it was."""
    for number, found in enumerate(CONDITION.finditer(definition)):
        yield f"#{number}: {found[0]}", definition[: found.start()] + "true" + definition[found.end() :]


# Changes that nobody can notice, and why. They count as survivors all the same.
HARMLESS = {
    "anon select: public.plans": "what the product costs is open to everybody already",
}


def mutants(db: Connection) -> list[Mutant]:
    """All of them."""
    return [m for kind in (of_policies, of_tables, of_functions, of_views, of_helpers) for m in kind(db)]
