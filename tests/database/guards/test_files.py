"""The files of the design: sql/ and policies/ are two doors to the same rooms, and everything is in the load order."""

from __future__ import annotations

import re

import pytest

from scripts.native import schema

ROOMS = [
    "00_foundation",
    "10_identity",
    "20_canvas",
    "30_headstart",
    "40_planner",
    "50_lectures",
    "60_assistant",
    "70_programme",
    "80_tutoring",
    "85_billing",
    "90_platform",
]
MAKES_RELATIONS = re.compile(r"^create (?:or replace )?(?:table|view)\b", re.M)


def test_the_rooms_are_these() -> None:
    assert schema.rooms() == ROOMS
    for home in (schema.SQL, schema.POLICIES):
        assert sorted(folder.name for folder in home.iterdir() if folder.is_dir()) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_the_load_order_names_every_file_once(room: str) -> None:
    listed = [line.strip() for line in (schema.SQL / room / "order.txt").read_text().splitlines()]
    names = [line for line in listed if line and not line.startswith("#")]
    assert len(names) == len(set(names))
    assert set(names) == {file.name for file in (schema.SQL / room).glob("*.sql")}


@pytest.mark.parametrize("room", ROOMS)
def test_a_table_enters_with_its_policy_file(room: str) -> None:
    """A function that nobody outside may call needs none; a policy file without a sibling would never be loaded."""
    makers = {file.name for file in (schema.SQL / room).glob("*.sql") if MAKES_RELATIONS.search(file.read_text())}
    policies = {file.name for file in (schema.POLICIES / room).glob("*.sql")}
    assert makers - policies == set(), "no file of the same name in policies/"
    assert policies - {file.name for file in (schema.SQL / room).glob("*.sql")} == set(), (
        "no file of the same name in sql/"
    )


@pytest.mark.parametrize("room", ROOMS)
def test_tables_and_access_live_apart(room: str) -> None:
    for file in (schema.SQL / room).glob("*.sql"):
        if file.name not in ("default_privileges.sql", "roles.sql"):
            text = file.read_text()
            assert not re.search(r"^(grant|revoke|create policy|alter table .* row level security)\b", text, re.M), file
    for file in (schema.POLICIES / room).glob("*.sql"):
        assert not re.search(r"^create (?!policy)", file.read_text(), re.M), file
        # what is created starts shut (sql/00_foundation/default_privileges.sql)
        assert not re.search(r"^\s*revoke\b", file.read_text(), re.M | re.I), f"{file}: a file of policies only grants"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_opens_with_a_readme_of_one_screen(room: str) -> None:
    readme = schema.SQL / room / "README.md"
    assert 3 <= len(readme.read_text().splitlines()) <= 50
