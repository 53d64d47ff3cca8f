"""Writes that look at nothing: an update or delete that names no rows, an insert that wants no answer.

Without a condition and without an answer Postgres asks no select policy, so only the write's own policy stands between
the author and everybody's rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from scripts.native import access
from tests.support.school import School, outcome_of_error

MATRIX = access.read()
TABLES = [name for name in MATRIX.relations if not name.startswith("v_")]
AUTHORS = ("student", "tutor_all", "teacher", "parent", *access.FORMER)


@dataclass(frozen=True)
class Write:
    """A delete of everything, or an update of the matrix without its condition; who may do it to some row."""

    statement: sql.Composed
    values: list[object]
    authors: set[str]


def reached(school: School, write: Write) -> int | str:
    """How many rows a write reaches, or its refusal as a cell of the matrix. It is undone."""
    try:
        with school.db.transaction(force_rollback=True):
            return school.db.execute(write.statement, write.values).rowcount
    except psycopg.Error as error:
        return outcome_of_error(error.sqlstate, error.diag.message_primary or "")


def writes(school: School, relation: access.Relation) -> list[Write]:
    """Everything a client could write to the table without saying to which rows."""
    table = sql.Identifier("public", relation.name)

    def authors(command: str, send: str | None = None) -> set[str]:
        lines = [line for line in relation.lines if (line.command, line.send) == (command, send)]
        return {name for line in lines for name, cell in line.cells.items() if cell == "1"}

    found = [Write(sql.SQL("delete from {}").format(table), [], authors("delete"))]
    for name in sorted({line.send for line in relation.lines if line.command == "update" and line.send}):
        values = {
            column: value
            for column, value in school.values(relation.sends[name]).items()
            if value is None or isinstance(value, str | int | float | bool)
        }
        if values:
            pairs = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in values)
            statement = sql.SQL("update {} set {}").format(table, pairs)
            found.append(Write(statement, list(values.values()), authors("update", name)))
    return found


@pytest.mark.parametrize("name", TABLES)
def test_a_write_without_a_condition_stays_within_sight(school: School, name: str) -> None:
    relation = MATRIX.relations[name]
    count = sql.SQL("select count(*) from {}").format(sql.Identifier("public", name))
    for author in AUTHORS:
        with school.acting(author):
            for write in writes(school, relation):
                written = reached(school, write)
                said = f"{author}: {write.statement.as_string()}"
                if isinstance(written, str):
                    # rows that the author may not write are skipped; the others are written all the same
                    assert written != "!" or author not in write.authors, f"{said} is refused"
                    continue
                row = school.db.execute(count).fetchone()
                assert row is not None
                assert written <= row[0], f"{said} writes {written} rows and sees {row[0]}"


@pytest.mark.parametrize("name", TABLES)
def test_an_insert_without_an_answer_is_judged_the_same(school: School, name: str) -> None:
    relation = MATRIX.relations[name]
    lines = [line for line in relation.lines if line.command == "insert"]
    wrong = []
    for person in MATRIX.people:
        with school.acting(person.name):
            for line in lines:
                found = school.cell(relation, line, answer=False)
                if found != line.cells[person.name]:
                    wrong.append(f"{person.name}: {line.title}: {found} instead of {line.cells[person.name]}")
    assert not wrong, "\n".join(wrong)
