"""No function of the API takes a time or a number that no client could read back.

The functions come from the catalogue: each one that has such an argument is called with every bad value of its type.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.people import claims_of, persona
from tests.support.tutoring import item, practice, subject

Connection = psycopg.Connection[Any]

TIMES = ("infinity", "-infinity", "10000-01-01", "9999-12-31 23:00:00-02", "0001-12-31 BC", "294000-01-01")
NUMBERS = ("NaN", "infinity", "-infinity")
BAD: Mapping[str, tuple[str, ...]] = {
    "timestamp with time zone": TIMES,
    "timestamp without time zone": TIMES,
    "date": ("infinity", "-infinity", "10000-01-01", "0001-12-31 BC"),
    "interval": ("178000000 years", "-178000000 years"),
    "numeric": NUMBERS,
    "double precision": NUMBERS,
    "real": NUMBERS,
}
# What the other arguments are given, so that a function gets as far as the one that is tried. By name, else by type.
GOOD_BY_NAME: Mapping[str, Any] = {"p_type": "canvas_sync", "p_dedupe_mode": "join"}
GOOD_BY_TYPE: Mapping[str, Any] = {
    "bigint": 1,
    "boolean": True,
    "date": "2030-01-01",
    "double precision": 1,
    "integer": 1,
    "interval": "1 hour",
    "jsonb": "{}",
    "numeric": 1,
    "real": 1,
    "text": "x",
    "text[]": "{x}",
    "timestamp with time zone": "2030-01-01Z",
    "uuid": str(uuid.UUID(int=0)),
}

Function = tuple[str, list[str], list[str]]

FUNCTIONS = """
    select proname, proargnames[:pronargs], array(
        select format_type(kind, null) from unnest(proargtypes::oid[]) with ordinality as u (kind, place) order by place
    )
    from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f' and pronargs > 0 order by 1"""


def element(kind: str) -> str:
    """The type itself, or that of a list's elements."""
    return kind.removesuffix("[]")


def accepted(db: Connection) -> list[str]:
    """Functions that take a bad value, or refuse it in other words than the parameter's."""
    wrong = []
    good = {**GOOD_BY_NAME, "p_assignment_id": practice(db, persona(db), item(db, subject(db)))}
    for name, names, kinds in db.execute(FUNCTIONS).fetchall():
        for place, (argument, kind) in enumerate(zip(names, kinds, strict=True)):
            for bad in BAD.get(element(kind), ()):
                values = [good.get(n, GOOD_BY_TYPE.get(k)) for n, k in zip(names, kinds, strict=True)]
                values[place] = bad if kind == element(kind) else f"{{{bad}}}"
                marks = sql.SQL(", ").join(sql.SQL(f"{n} => %s::{k}") for n, k in zip(names, kinds, strict=True))
                call = sql.SQL("select {}({})").format(sql.Identifier("public", name), marks)
                if answer := refusal(db, call, values, argument):
                    wrong.append(f"{name}({argument} => {bad}): {answer}")
    return wrong


def refusal(db: Connection, call: sql.Composed, values: list[Any], argument: str) -> str | None:
    """None when the call is refused as it should be, else what happened."""
    try:
        with db.transaction(force_rollback=True):
            db.execute(call, values)
    except psycopg.Error as error:
        said = error.diag.message_primary or ""
        named = error.sqlstate in ("22023", "22003") and said.startswith(f"{argument} must be")
        return None if named else f"{error.sqlstate} {said}"
    return "accepted"


@pytest.fixture
def calling(db: Connection) -> Connection:
    """A signed-in person calls, with the owner's rights, so that every function runs."""
    claims = claims_of(persona(db), "authenticated")
    db.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
    return db


def test_times_and_numbers_that_cannot_be_are_refused_by_name(calling: Connection) -> None:
    assert accepted(calling) == []


@pytest.mark.parametrize("kind", ["timestamptz", "date", "numeric", "double precision", "timestamptz[]"])
def test_a_function_without_the_check_is_found(calling: Connection, kind: str) -> None:
    calling.execute(f"create function public.probe(p_id uuid, p_value {kind}) returns int return 1".encode())
    assert len(accepted(calling)) >= len(NUMBERS)
    assert all(line.startswith("probe(p_value") for line in accepted(calling))


def test_a_check_that_does_not_name_the_parameter_is_found(calling: Connection) -> None:
    calling.execute(
        "create function public.probe(p_value timestamptz) returns void return private.check_time('p_other', p_value)"
    )
    assert any("p_other must be" in line for line in accepted(calling))
