"""A write that names no rows reaches no more rows than its author may see.

Without a condition and without an answer Postgres asks no select policy, so only the write's own policy stands between
the author and everybody's rows.
"""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from scripts.native import access
from tests.support.school import School

MATRIX = access.read()
TABLES = [name for name in MATRIX.relations if not name.startswith("v_")]
AUTHORS = ("student", "tutor_all", "teacher", "parent")


def reached(school: School, statement: sql.Composed, values: list[object]) -> int | None:
    """How many rows the statement writes; None when it is refused, for whatever reason. It is undone."""
    try:
        with school.db.transaction(force_rollback=True):
            return school.db.execute(statement, values).rowcount
    except psycopg.Error:
        return None


def writes(school: School, relation: access.Relation) -> list[tuple[sql.Composed, list[object]]]:
    """A delete of everything, and each update of the matrix without its condition."""
    table = sql.Identifier("public", relation.name)
    found: list[tuple[sql.Composed, list[object]]] = [(sql.SQL("delete from {}").format(table), [])]
    for name in sorted({line.send for line in relation.lines if line.command == "update" and line.send}):
        values = {
            column: value
            for column, value in school.values(relation.sends[name]).items()
            if value is None or isinstance(value, str | int | float | bool)
        }
        if values:
            pairs = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in values)
            found.append((sql.SQL("update {} set {}").format(table, pairs), list(values.values())))
    return found


@pytest.mark.parametrize("name", TABLES)
def test_a_write_without_a_condition_stays_within_sight(school: School, name: str) -> None:
    relation = MATRIX.relations[name]
    count = sql.SQL("select count(*) from {}").format(sql.Identifier("public", name))
    for author in AUTHORS:
        with school.acting(author):
            for statement, values in writes(school, relation):
                written = reached(school, statement, values)
                if written is None:
                    continue
                row = school.db.execute(count).fetchone()
                assert row is not None
                assert written <= row[0], f"{author}: {statement.as_string()} writes {written} rows and sees {row[0]}"
