"""A refusal tells nothing about rows that the caller may not see.

Whatever a client may point at is tried twice: with the id of a row that exists and is hidden, and with an id that
nobody has. Code, message and details must be the same. Columns and functions come from the catalogue, so the next one
is covered the day it is added.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg import sql

from scripts.native import access
from tests.database.access.test_columns import allowed, columns_of
from tests.support.school import School

MATRIX = access.read()
TABLES = [name for name in MATRIX.relations if not name.startswith("v_")]
PEOPLE = [person for person in MATRIX.people if person.name not in ("anon", access.SERVICE)]
MAX_IDS = 2  # of each table; of people, all
# What functions take beside ids, so that they get as far as looking for the row. A new argument is added here.
ARGUMENTS: Mapping[str, list[Any]] = {
    "p_accept": [True, False],
    "p_action": ["edited"],
    "p_event": ["opened"],
    "p_is_correct": [True],
    "p_kind": ["tutor"],
    "p_limit": [10],
    "p_new_content": [json.dumps({"narrative": "x"})],
    "p_reason": [None],
    "p_role": ["tutor"],
    "p_score": [1],
    "p_seen_label": [True],
    "p_type": ["summary", "practice", "qa_answer"],
}

Answer = tuple[str, ...]


def answer(school: School, statement: sql.Composed, parameters: Any, tried: uuid.UUID) -> Answer:
    """What a client is told, with the id it sent taken out; the statement is undone."""
    try:
        with school.db.transaction(force_rollback=True):
            school.db.execute(statement, parameters)
    except psycopg.Error as error:
        said = (error.sqlstate, error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
        return tuple(str(part).replace(str(tried), "<id>") for part in said)
    return ("accepted",)


def ids(school: School, table: str, column: str) -> set[uuid.UUID]:
    """The values of a key column that whoever the transaction is may see; none without the right to read."""
    query = sql.SQL("select {} from {}").format(sql.Identifier(column), sql.Identifier("public", table))
    try:
        with school.db.transaction():
            return {value for (value,) in school.db.execute(query) if isinstance(value, uuid.UUID)}
    except psycopg.errors.InsufficientPrivilege:
        return set()


def pointers(school: School) -> dict[str, list[tuple[str, str, str]]]:
    """Of each table the columns that point at rows: column, parent, the parent's column."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for table, *pointer in school.db.execute(
        "select distinct c.relname, a.attname, p.relname, b.attname from pg_constraint as k "
        "join pg_class as c on c.oid = conrelid join pg_class as p on p.oid = confrelid, "
        "unnest(conkey, confkey) as pair (child, parent) "
        "join pg_attribute as a on a.attnum = pair.child join pg_attribute as b on b.attnum = pair.parent "
        "where contype = 'f' and a.attrelid = conrelid and b.attrelid = confrelid and a.atttypid = 'uuid'::regtype "
        "and c.relnamespace = 'public'::regnamespace and p.relnamespace = 'public'::regnamespace"
    ):
        found.setdefault(table, []).append(tuple(pointer))
    return found


Hidden = dict[str, dict[tuple[str, str], list[uuid.UUID]]]


@pytest.fixture(scope="module")
def hidden(school: School) -> Hidden:
    """Of each person, the values of key columns that exist and that this person does not see."""
    keys = {(parent, column) for columns in pointers(school).values() for _, parent, column in columns}
    keys |= {(table, "id") for table in tables_with_ids(school)}
    everything = {key: ids(school, *key) for key in keys}
    found: Hidden = {}
    for person in PEOPLE:
        with school.acting(person.name):
            # the id in one's own token is no secret, though a former administrator does not even see that profile
            known = {uuid.UUID(school.people[person.name])}
            unseen = {key: sorted(values - ids(school, *key) - known) for key, values in everything.items()}
        found[person.name] = {
            key: values if key[0] == "profiles" else values[:MAX_IDS] for key, values in unseen.items()
        }
    return found


def tables_with_ids(school: School) -> list[str]:
    """The tables whose key is a column ``id`` of uuids."""
    return [
        name
        for (name,) in school.db.execute(
            "select relname from pg_class join pg_attribute on attrelid = pg_class.oid "
            "where relnamespace = 'public'::regnamespace and relkind = 'r' and attname = 'id' "
            "and atttypid = 'uuid'::regtype order by 1"
        )
    ]


def writes(
    school: School, relation: access.Relation, command: str, column: str
) -> Iterator[tuple[str, sql.Composed, dict[str, Any]]]:
    """What the matrix sends to this table, with ``column`` left open: a title, the statement, its values."""
    table = sql.Identifier("public", relation.name)
    for line in relation.lines:
        if line.command != command or line.send is None:
            continue
        values = school.values(relation.sends[line.send]) | {column: None}
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        picked = sql.SQL("select {} from jsonb_populate_record(null::{}, %(sent)s::jsonb)").format(names, table)
        if command == "insert":
            yield line.title, sql.SQL("insert into {} ({}) {}").format(table, names, picked), values
        elif line.row is not None:
            where = sql.SQL(" and ").join(
                sql.SQL("{} = {}").format(sql.Identifier(key), sql.Literal(access.resolve(value, school.people)))
                for key, value in line.row.key.items()
            )
            form = sql.SQL("update {} set ({}) = row({}) from ({}) as sent where {}").format(
                table, names, sql.SQL(", ").join(sql.Identifier("sent", name) for name in values), picked, where
            )
            yield line.title, form, values


def differences(
    school: School,
    hidden: Hidden,
    relation: access.Relation,
    person: access.Person,
    columns: list[tuple[str, str, str]],
) -> Iterator[str]:
    """Where a hidden id is answered differently from one that nobody has."""
    everywhere = columns_of(school, relation.name)
    with school.acting(person.name):
        for command, (column, *parent) in itertools.product(("insert", "update"), columns):
            if column not in allowed(relation, command, person.database_role, everywhere):
                continue
            for title, statement, values in writes(school, relation, command, column):
                nobody = uuid.uuid4()
                sent = {"sent": json.dumps(values | {column: str(nobody)})}
                wanted = answer(school, statement, sent, nobody)
                for value in hidden[person.name][parent[0], parent[1]]:
                    sent = {"sent": json.dumps(values | {column: str(value)})}
                    found = answer(school, statement, sent, value)
                    if found != wanted:
                        yield f"{person.name}: {title}, {column} of {parent[0]} {value}: {found} and not {wanted}"


@pytest.mark.parametrize("name", TABLES)
def test_writes_answer_hidden_rows_as_none(school: School, hidden: Hidden, name: str) -> None:
    relation, columns = MATRIX.relations[name], pointers(school).get(name, [])
    wrong = [line for person in PEOPLE for line in differences(school, hidden, relation, person, columns)]
    assert not wrong, "\n".join(wrong)


def calls(school: School) -> Iterator[tuple[sql.Composed, list[list[Any]]]]:
    """Each client function that takes an id, as a statement with one open id, and what else it is given."""
    for name, names, types in school.db.execute(
        "select proname, proargnames[:pronargs], "
        "array(select t::regtype::text from unnest(proargtypes::oid[]) with ordinality as u (t, n) order by n) "
        "from pg_proc where pronamespace = 'public'::regnamespace "
        "and (has_function_privilege('authenticated', oid, 'execute') "
        "or has_function_privilege('app_admin', oid, 'execute'))"
    ).fetchall():
        places = [place for place, kind in enumerate(types) if kind == "uuid"]
        for open_place in places:
            others = [
                [None] if place == open_place else [None] if kind == "uuid" else ARGUMENTS[argument]
                for place, (argument, kind) in enumerate(zip(names, types, strict=True))
            ]
            marks = [
                sql.SQL("%s::{}").format(sql.SQL(kind)) if place != open_place else sql.SQL("%s::uuid")
                for place, kind in enumerate(types)
            ]
            statement = sql.SQL("select {}({})").format(sql.Identifier("public", name), sql.SQL(", ").join(marks))
            yield statement, [[open_place, *values] for values in itertools.product(*others)]


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_functions_answer_hidden_rows_as_none(school: School, hidden: Hidden, person: access.Person) -> None:
    wrong = []
    statements = list(calls(school))
    assert len(statements) >= 7
    with school.acting(person.name):
        # a person has rows of one id in several tables; whoever sees one of them knows the id
        known = {value for key in hidden[person.name] for value in ids(school, *key)}
        # everybody who is signed in sees the subjects; only an administrator's old token does not
        if person.name == "former_admin":
            known.update(hidden[person.name]["subjects", "id"])
        strangers = sorted({value for values in hidden[person.name].values() for value in values} - known)
        for statement, fillings in statements:
            for place, *values in fillings:
                nobody = uuid.uuid4()
                wanted = answer(school, statement, [*values[:place], nobody, *values[place + 1 :]], nobody)
                for value in strangers:
                    found = answer(school, statement, [*values[:place], value, *values[place + 1 :]], value)
                    if found != wanted:
                        wrong.append(f"{statement.as_string()} {values} {value}: {found} and not {wanted}")
    assert not wrong, "\n".join(wrong)
