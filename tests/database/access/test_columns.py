"""Column rights: each column of the matrix can be written, each other is refused or keeps its value."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from psycopg import sql

from scripts.native import access
from tests.database.access.conftest import TRIED
from tests.support.school import School

MATRIX = access.read()
TABLES = [name for name in MATRIX.relations if not name.startswith("v_")]


def allowed(relation: access.Relation, command: str, role: str, columns: list[str]) -> set[str]:
    """The columns a role may write; app_admin inherits what authenticated may."""
    if role == "service_role":
        return set(columns)
    roles = {"app_admin": ("authenticated", "app_admin"), "authenticated": ("authenticated",)}.get(role, ())
    named = {column for each in roles for column in relation.columns.get((command, each), ())}
    return set(columns) if "*" in named else named


def columns_of(school: School, table: str) -> list[str]:
    """The columns of a table that are not computed from others."""
    return [
        name
        for (name,) in school.db.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped "
            "and attgenerated = '' and attidentity = '' order by attnum",
            (f"public.{table}",),
        )
    ]


@pytest.mark.parametrize("role", ["authenticated", "app_admin"])
@pytest.mark.parametrize("table", TABLES)
def test_only_the_columns_of_the_matrix_can_be_written(school: School, table: str, role: str) -> None:
    """What anon and the service hold is whole tables or nothing, which the cells and the manifest show."""
    relation = MATRIX.relations[table]
    person = "admin" if role == "app_admin" else "student"
    columns = columns_of(school, table)
    name = sql.Identifier("public", table)
    with school.acting(person):
        for command, form in (
            # no row is written: rights on columns are looked at before rows are
            ("insert", "insert into {0} ({1}) select (jsonb_populate_record(null::{0}, '{{}}')).{1} where false"),
            ("update", "update {0} set {1} = (jsonb_populate_record(null::{0}, '{{}}')).{1} where false"),
        ):
            writable = allowed(relation, command, role, columns)
            assert writable <= set(columns)
            if command == "update" and writable:
                # the grant is on all columns, so that a whole row may be sent; a trigger keeps the others as they are
                writable = set(columns)
            for column in columns:
                TRIED["columns"] += 1
                found = school.attempt(sql.SQL(form).format(name, sql.Identifier(column)))
                assert found == ("0" if column in writable else "-"), f"{command} of {column} as {role}"


@pytest.mark.parametrize("table", TABLES)
def test_columns_that_may_be_updated_really_can(school: School, table: str) -> None:
    """In a row the person may update, each granted column takes its own value again."""
    relation = MATRIX.relations[table]
    name = sql.Identifier("public", table)
    columns = columns_of(school, table)
    for person in MATRIX.people:
        writable = allowed(relation, "update", person.database_role, columns)
        lines = [line for line in relation.lines if line.command == "update" and line.cells[person.name] == "1"]
        if not writable or not lines:
            continue
        row = lines[0].row
        assert row is not None
        tried = {column for line in lines if line.send for column in relation.sends[line.send]}
        where = sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in row.key)
        keys = [access.resolve(value, school.people) for value in row.key.values()]
        with school.acting(person.name):
            # what the cells have tried with a new value is not tried again with the old one
            for column in writable - tried:
                TRIED["columns"] += 1
                identifier = sql.Identifier(column)
                again = sql.SQL("update {} set {} = {} where {}").format(name, identifier, identifier, where)
                assert school.attempt(again, keys) == "1", f"{person.name} cannot update {table}.{column}"


# a value of each type that these columns have, for those that are null in the seed
SAMPLES = {
    "bigint": "7",
    "boolean": "true",
    "date": "2026-01-02",
    "double precision": "0.5",
    "integer": "7",
    "jsonb": '{"x": 1}',
    "numeric": "1",
    "smallint": "1",
    "text": "changed",
    "text[]": "{changed}",
    "timestamp with time zone": "2026-01-02T00:00:00Z",
    "uuid": "00000000-0000-4000-8000-00000000dead",
}


@pytest.mark.parametrize("table", TABLES)
def test_other_columns_keep_their_value(school: School, table: str) -> None:
    """In a row the person may update, any other column takes its stored value and refuses another one."""
    relation = MATRIX.relations[table]
    columns = columns_of(school, table)
    name = sql.Identifier("public", table)
    for person in MATRIX.people:
        writable = allowed(relation, "update", person.database_role, columns)
        lines = [line for line in relation.lines if line.command == "update" and line.cells[person.name] == "1"]
        if person.database_role == "service_role" or not writable or not lines or lines[0].row is None:
            continue
        key = lines[0].row.key
        where = sql.SQL(" and ").join(sql.SQL("t.{} = %s").format(sql.Identifier(column)) for column in key)
        keys = [access.resolve(value, school.people) for value in key.values()]
        with school.acting(person.name):
            for column in set(columns) - writable:
                TRIED["columns"] += 1
                identifier = sql.Identifier(column)
                stored = school.db.execute(
                    sql.SQL("select {0} is null, pg_typeof({0})::text from {1} as t where {2}").format(
                        identifier, name, where
                    ),
                    keys,
                ).fetchone()
                assert stored is not None
                is_null, kind = stored
                # with what the cell sends: some policies ask for a certain new value
                sends = json.dumps(school.values(relation.sends[lines[0].send or ""]))
                update = sql.SQL(
                    "update {0} as t set {1}, {2} = {3} "
                    "from jsonb_populate_record(null::{0}, %s::jsonb) as sent where {4}"
                )
                sent = sql.SQL(", ").join(
                    sql.SQL("{0} = sent.{0}").format(sql.Identifier(name))
                    for name in relation.sends[lines[0].send or ""]
                )
                own = sql.SQL("t.{}").format(identifier)
                again = update.format(name, sent, identifier, own, where)
                assert school.attempt(again, [sends, *keys]) == "1", (
                    f"{person.name}: {table}.{column} refuses its own value"
                )
                # null is another value for all that are not null; the trigger speaks before the constraint does
                other = sql.Literal(SAMPLES.get(kind) if is_null else None)
                if is_null and kind not in SAMPLES:
                    labels = school.db.execute(
                        sql.SQL("select enum_range(null::{})::text[]").format(sql.SQL(kind))
                    ).fetchone()
                    assert labels is not None
                    other = sql.Literal(labels[0][0])
                changed = update.format(name, sent, identifier, other, where)
                wanted = "1" if column == "updated_at" else "!"  # what is sent for it is ignored
                assert school.attempt(changed, [sends, *keys]) == wanted, f"{person.name} may change {table}.{column}"


@pytest.mark.parametrize("table", TABLES)
def test_the_trigger_lists_the_columns_of_the_matrix(school: School, table: str) -> None:
    relation = MATRIX.relations[table]
    named = {column for (command, _), names in relation.columns.items() if command == "update" for column in names}
    row = school.db.execute(
        "select tgargs from pg_trigger where tgrelid = %s::regclass and tgname = %s",
        (f"public.{table}", f"trg_{table}_columns"),
    ).fetchone()
    listed = set(bytes(row[0]).decode().split("\0")) - {""} if row else {"*"} & named
    assert listed == named


# what no client could read back: without end, or in a year of other than four digits
BAD_TIMES = ("infinity", "-infinity", "10000-01-01", "0001-12-31 BC")


def times_of(school: School, table: str) -> list[str]:
    """The columns of a table that hold times or days."""
    return [
        name
        for (name,) in school.db.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped "
            "and atttypid in ('timestamptz'::regtype, 'date'::regtype)",
            (f"public.{table}",),
        )
    ]


@pytest.mark.parametrize("table", TABLES)
def test_no_person_writes_a_time_that_nobody_can_read(school: School, table: str) -> None:
    relation = MATRIX.relations[table]
    for person in MATRIX.people:
        if person.database_role != "authenticated":
            continue
        granted = {command: allowed(relation, command, "authenticated", []) for command in ("insert", "update")}
        for line in relation.lines:
            columns = granted.get(line.command, set()) & set(times_of(school, table))
            if line.cells[person.name] != "1" or line.send is None:
                continue
            for column, bad in itertools.product(sorted(columns), BAD_TIMES):
                sent = school.values(relation.sends[line.send]) | {column: bad}
                changed = dataclasses.replace(relation, sends={line.send: sent})
                with school.acting(person.name):
                    assert school.cell(changed, line) == "c", f"{person.name} sets {table}.{column} to {bad}"
