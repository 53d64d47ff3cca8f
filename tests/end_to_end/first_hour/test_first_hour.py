"""The first hour: short situations each time, all of them with FIRST_HOUR=all (about ten minutes)."""

from __future__ import annotations

import os

import pytest

from tests.end_to_end.first_hour.situations import SHORT, CannotBeTried, checkout_for, situations

EVERYTHING = situations()
CHOSEN = [name for name, (_, act) in EVERYTHING.items() if act in SHORT or os.environ.get("FIRST_HOUR") == "all"]


def test_there_are_many_situations_and_each_has_a_name_of_its_own() -> None:
    assert len(EVERYTHING) >= 25
    assert len(CHOSEN) >= len(SHORT)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_situation_of_the_first_hour(name: str) -> None:
    _, situation = EVERYTHING[name]
    with checkout_for(situation) as checkout:
        try:
            situation(checkout)
        except CannotBeTried as reason:
            pytest.skip(str(reason))
