"""State machines tested completely: every initial state of a row, and every pair of states."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]


def outcomes(
    db: Connection, table: str, states: list[str], born: Callable[[str], Any], key: str = "id"
) -> tuple[set[str], set[str]]:
    """What the database allows: the initial states of a row, and the changes of state, as ``from>to``.

    ``born`` inserts a row in a state and returns its key. Staying in a state always passes and is not listed.
    """
    births = {state for state in states if _try(db, partial(born, state), "cannot begin with")}
    row = born(next(iter(births)))
    name, trigger = sql.Identifier("public", table), sql.Identifier(f"trg_{table}_status")
    change = sql.SQL("update {} set status = %s where {} = %s").format(name, sql.Identifier(key))
    passed = set()
    for source in states:
        for target in states:
            with db.transaction(force_rollback=True):
                db.execute(sql.SQL("alter table {} disable trigger {}").format(name, trigger))
                db.execute(change, (source, row))
                db.execute(sql.SQL("alter table {} enable trigger {}").format(name, trigger))
                if _try(db, partial(db.execute, change, (target, row)), "cannot go from"):
                    passed.add(f"{source}>{target}")
    assert {f"{state}>{state}" for state in states} <= passed, "staying in a state was refused"
    return births, {change for change in passed if len(set(change.split(">"))) == 2}


def _try(db: Connection, act: Callable[[], Any], refusal: str) -> bool:
    try:
        with db.transaction(force_rollback=True):
            act()
    except psycopg.errors.CheckViolation as error:
        if refusal not in str(error):
            raise
        return False
    return True
