"""Column rights: each granted column can be written, each other is refused; both as the matrix says."""

from __future__ import annotations

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
