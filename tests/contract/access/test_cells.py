"""Every cell of the access matrix, tried through the gateway by people who signed in."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from scripts.native import access
from tests.contract.access.conftest import MATRIX, TRIED, RestSchool
from tests.support.school import outcome_of_error

# the answer's status that goes with a cell; a person without a token is asked to show one
STATUS = {"-": 403, "!": 403, "c": 400, "f": 409, "n": 400, "u": 409}
# what a function answers to nulls, beside doing it, and the status that goes with it
OWN_ANSWERS = {"c": 400, "22023": 400, "22003": 400, "22004": 400, "PT404": 404, "PT409": 409}
REPRESENTATION = {"Prefer": "return=representation"}


def outcome(response: httpx.Response) -> str:
    """The cell an answer of PostgREST stands for."""
    body: Any = response.json() if response.content else []
    if response.is_success:
        return "1" if body else "0"
    return outcome_of_error(body["code"], body["message"])


def attempt(school: RestSchool, relation: access.Relation, line: access.Line, person: str) -> httpx.Response:
    """One line of the matrix as a request, asking for the key of what was read or written."""
    row = line.row or next(iter(relation.rows.values()))
    query = {"select": ",".join(row.key)}
    if line.row:
        query |= school.filters(line.row)
    if line.command == "select":
        return school.request(person, "GET", relation.name, params=query)
    if line.command == "delete":
        return school.request(person, "DELETE", relation.name, params=query, headers=REPRESENTATION)
    assert line.send is not None
    body = school.values(relation.sends[line.send])
    method = "POST" if line.command == "insert" else "PATCH"
    return school.request(person, method, relation.name, params=query, json=body, headers=REPRESENTATION)


@pytest.mark.parametrize("name", MATRIX.relations)
def test_cells_are_as_written(rest_school: RestSchool, name: str) -> None:
    relation = MATRIX.relations[name]
    wrong = []

    def compare(cell: tuple[access.Line, str]) -> None:
        line, person = cell
        wanted = line.cells[person]
        response = attempt(rest_school, relation, line, person)
        found = outcome(response)
        status = 401 if person == "anon" and found in "-!" else STATUS.get(found, response.status_code)
        if found != wanted or response.status_code != status:
            said = response.text[:200]
            wrong.append(f"line {line.number}: {person}: {line.title}: {found} instead of {wanted}: {said}")

    cells = [(line, person.name) for person in MATRIX.people for line in relation.lines]
    accepted = [(line, person) for line, person in cells if line.command != "select" and line.cells[person] == "1"]
    TRIED["cells"] += len(cells)
    rest_school.all_at_once(compare, [cell for cell in cells if cell not in accepted])
    if left_behind := rest_school.changed():
        wrong.append(f"refused writes have changed {', '.join(left_behind)}")
        rest_school.restore()
    for cell in accepted:
        compare(cell)
        rest_school.restore()
    assert not wrong, "\n".join(["the access matrix and the API differ", *wrong])


def test_functions_are_called_by_whom_they_may(rest_school: RestSchool) -> None:
    functions = {
        name: (arguments[:required], returns, strict)
        for name, arguments, required, returns, strict in rest_school.owner.execute(
            "select proname, coalesce(proargnames, '{}'), pronargs - pronargdefaults, prorettype::regtype::text, "
            "proisstrict from pg_proc where pronamespace = 'public'::regnamespace"
        )
    }
    wrong = []

    def call(cell: tuple[access.Call, str]) -> bool:
        function, person = cell
        arguments, returns, strict = functions[function.name]
        body: dict[str, Any] = dict.fromkeys(arguments, "" if strict else None)
        response = rest_school.request(person, "POST", f"rpc/{function.name}", json=body)
        if response.is_success:
            found = "1"
        elif returns == "trigger":
            # PostgREST does not offer these at all
            assert response.json()["code"] == "PGRST202"
            found = "-"
        else:
            found = outcome_of_error(response.json()["code"], response.json()["message"])
            # refusing nulls, or finding nothing under them, is the function's own answer: it was called
            found = "1" if OWN_ANSWERS.get(found) == response.status_code else found
        if found != function.cells[person]:
            wanted = function.cells[person]
            wrong.append(f"{person}: {function.name}: {found} instead of {wanted}: {response.text[:200]}")
        return response.is_success

    cells = [(function, person.name) for person in MATRIX.people for function in MATRIX.calls.values()]
    TRIED["cells"] += len(cells)
    rest_school.all_at_once(call, [cell for cell in cells if cell[0].cells[cell[1]] != "1"])
    assert rest_school.changed() == []
    for cell in cells:
        if cell[0].cells[cell[1]] == "1" and call(cell):
            rest_school.restore()
    assert not wrong, "\n".join(wrong)


def test_nobody_reaches_the_private_schema(rest_school: RestSchool) -> None:
    def ask(cell: tuple[str, str]) -> None:
        person, name = cell
        named = rest_school.request(person, "GET", name, headers={"Accept-Profile": "private"})
        assert (named.status_code, named.json()["code"]) == (406, "PGRST106")

    cells = [(person.name, name) for person in MATRIX.people for name in sorted(MATRIX.private)]
    TRIED["cells"] += len(cells)
    rest_school.all_at_once(ask, cells)
    for name in sorted(MATRIX.private):
        assert rest_school.request("student", "GET", name).status_code == 404


@pytest.mark.parametrize("name", [name for name in MATRIX.relations if not name.startswith("v_")])
def test_columns_that_may_be_updated_are_these(rest_school: RestSchool, name: str) -> None:
    """In a row that a person may update, each column takes its own value; others than the matrix's take no other."""
    relation = MATRIX.relations[name]
    for person in MATRIX.people:
        lines = [line for line in relation.lines if line.command == "update" and line.cells[person.name] == "1"]
        if person.name == access.SERVICE or not lines:
            continue
        row = lines[0].row
        assert row is not None
        roles = ("authenticated", "app_admin") if person.database_role == "app_admin" else ("authenticated",)
        granted = {column for role in roles for column in relation.columns.get(("update", role), ())}
        tried = {column for line in lines if line.send for column in relation.sends[line.send]}
        filters = rest_school.filters(row)
        [stored] = rest_school.request(access.SERVICE, "GET", name, params=filters).json()
        sends = rest_school.values(relation.sends[lines[0].send or ""])
        for column in stored:
            TRIED["columns"] += 1
            found = rest_school.request(access.SERVICE, "GET", name, params=filters).json()
            if not found:  # what the cell sends has given the row another key
                rest_school.restore()
                found = rest_school.request(access.SERVICE, "GET", name, params=filters).json()
            value = found[0][column]
            kept = column not in granted and "*" not in granted
            if kept and value is not None and column != "updated_at":
                changed = rest_school.request(person.name, "PATCH", name, params=filters, json={**sends, column: None})
                # a generated column is refused before rights are looked at
                assert changed.json()["code"] in ("42501", "428C9"), f"{person.name} changed {name}.{column}"
                assert column in changed.json()["message"], changed.text
            if kept or column not in tried:
                response = rest_school.request(
                    person.name, "PATCH", name, params=filters, json={**sends, column: value}, headers=REPRESENTATION
                )
                assert outcome(response) == "1", f"{person.name} cannot send {name}.{column}: {response.text}"
        rest_school.restore()
