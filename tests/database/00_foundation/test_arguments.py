"""Arguments that no client could read back are refused by the parameter's name."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]

CHECK = "select private.check_time('p_due_at', %s::timestamptz)"


@pytest.mark.parametrize(
    "value",
    ["infinity", "-infinity", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "0001-12-31T23:59:59Z BC"],
)
def test_times_outside_the_years_1_to_9999_are_refused(db: Connection, value: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^p_due_at must be a time in the years 1 to 9999"):
        db.execute(CHECK, (value,))


@pytest.mark.parametrize("value", [None, "0001-01-01T00:00:00Z", "2030-02-28T12:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_other_times_and_null_pass(db: Connection, value: str | None) -> None:
    db.execute(CHECK, (value,))


@pytest.mark.parametrize("value", ["NaN", "infinity", "-infinity", "-0.001", "1.001"])
def test_numbers_outside_the_range_are_refused(db: Connection, value: str) -> None:
    check = "select private.check_number('p_share', %s::numeric, 0, 1)"
    with pytest.raises(psycopg.errors.NumericValueOutOfRange, match=r"^p_share must be between 0 and 1\n"):
        db.execute(check, (value,))


@pytest.mark.parametrize("value", [None, "0", "0.5", "1"])
def test_numbers_in_the_range_and_null_pass(db: Connection, value: str | None) -> None:
    db.execute("select private.check_number('p_share', %s::numeric, 0, 1)", (value,))
