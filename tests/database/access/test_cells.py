"""Every cell of the access matrix, tried in SQL as the person it is about; and nothing missing from the matrix."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from psycopg import sql

from scripts.native import access
from tests.database.access.conftest import TRIED
from tests.support.school import School

MATRIX = access.read()
# done, nothing to do, a check, a bad, too big or missing argument, not found, in conflict: never an accident
OWN_ANSWERS = ("1", "0", "c", "22023", "22003", "22004", "PT404", "PT409")


def differences(school: School, name: str, first: str | None = None) -> Generator[str]:
    """The cells of a relation that are not as written, those of the command ``first`` before the others."""
    relation = MATRIX.relations[name]
    lines = sorted(relation.lines, key=lambda line: line.command != first)
    for person in MATRIX.people:
        with school.acting(person.name):
            for line in lines:
                TRIED["cells"] += 1
                found = school.cell(relation, line)
                if found != line.cells[person.name]:
                    wanted = line.cells[person.name]
                    yield f"line {line.number}: {person.name}: {line.title}: {found} instead of {wanted}"


@pytest.mark.parametrize("name", MATRIX.relations)
def test_cells_are_as_written(school: School, name: str) -> None:
    wrong = list(differences(school, name))
    assert not wrong, "\n".join(["the access matrix and the database differ", *wrong])


def test_functions_are_called_by_whom_they_may(school: School) -> None:
    arguments = {
        name: (count, returns, strict)
        for name, count, returns, strict in school.db.execute(
            "select proname, pronargs - pronargdefaults, prorettype::regtype::text, proisstrict from pg_proc "
            "where pronamespace = 'public'::regnamespace"
        )
    }
    wrong = []
    for person in MATRIX.people:
        with school.acting(person.name):
            for call in MATRIX.calls.values():
                TRIED["cells"] += 1
                count, returns, strict = arguments[call.name]
                # a strict function of null is null without being called
                nothing = sql.SQL(", ").join([sql.SQL("''" if strict else "null")] * count)
                found = school.attempt(sql.SQL("select {}({})").format(sql.Identifier("public", call.name), nothing))
                # refusing nulls, or finding nothing under them, is the function's own answer: it was called
                if found in OWN_ANSWERS and returns != "trigger":
                    found = "1"
                if found != call.cells[person.name]:
                    wrong.append(f"{person.name}: {call.name}: {found} instead of {call.cells[person.name]}")
    assert not wrong, "\n".join(wrong)


def test_nobody_names_anything_in_private(school: School) -> None:
    wrong = []
    for person in MATRIX.people:
        with school.acting(person.name):
            for name in sorted(MATRIX.private):
                TRIED["cells"] += 1
                found = school.attempt(sql.SQL("select from {}").format(sql.Identifier("private", name)))
                if found != "-":
                    wrong.append(f"{person.name}: private.{name}: {found}")
    assert not wrong, "\n".join(wrong)


def test_the_matrix_knows_every_table_view_and_function(school: School) -> None:
    relations = school.db.execute(
        "select relnamespace::regnamespace::text, relname from pg_class "
        "where relnamespace in ('public'::regnamespace, 'private'::regnamespace) "
        "and relkind in ('r', 'p', 'v', 'm', 'f')"
    ).fetchall()
    functions = school.db.execute("select proname from pg_proc where pronamespace = 'public'::regnamespace").fetchall()
    assert {name for schema, name in relations if schema == "public"} == set(MATRIX.relations)
    assert {name for schema, name in relations if schema == "private"} == MATRIX.private
    assert sorted(name for (name,) in functions) == sorted(MATRIX.calls)


@pytest.mark.parametrize("name", MATRIX.relations)
def test_every_table_is_tried_from_all_sides(name: str) -> None:
    """Each command (views are only read), and every row that is not for everybody by somebody who may not see it."""
    relation = MATRIX.relations[name]
    commands = {line.command for line in relation.lines}
    assert commands == ({"select"} if name.startswith("v_") else set(access.COMMANDS))
    signed_in = {person.name for person in MATRIX.people if person.database_role == "authenticated"} - {"guest"}
    signed_in -= set(access.FORMER)
    for line in relation.lines:
        assert line.cells["anon"] != "1" or name == "plans"
        assert line.cells["guest"] != "1", "an anonymous sign-in has no rights"
        if line.command == "select" and line.row and "everybody" not in line.row.owners:
            assert {line.cells[person] for person in signed_in} & {"0", "-"}, f"everybody sees {line.title}"
            seen_by = [person for person in access.FORMER if line.cells[person] == "1"]
            assert not seen_by, f"a role that was taken away shows {line.title} to {seen_by}"
