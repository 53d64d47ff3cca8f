"""The design in files: which SQL there is, in which order it loads, and how it becomes a history.

All of ``sql/`` comes first, by room number and each room's ``order.txt``; then all of ``policies/`` in the same order.
So a policy may use any helper, and a table may point at any table of an earlier room.
"""

from __future__ import annotations

from pathlib import Path

from scripts.native.paths import REPO

SQL = REPO / "sql"
POLICIES = REPO / "policies"
MIGRATIONS = REPO / "supabase" / "migrations"


def rooms() -> list[str]:
    """The domains, in load order: 00_foundation ... 90_platform."""
    return sorted(folder.name for folder in SQL.iterdir() if (folder / "order.txt").exists())


def room_files(room: str) -> list[Path]:
    """The files of one room of sql/, in the order its order.txt gives.

    :raise ValueError: order.txt and the folder do not name the same files
    """
    listed = [line.strip() for line in (SQL / room / "order.txt").read_text().splitlines()]
    names = [line for line in listed if line and not line.startswith("#")]
    present = {file.name for file in (SQL / room).glob("*.sql")}
    if set(names) != present or len(names) != len(set(names)):
        raise ValueError(f"sql/{room}/order.txt and the folder differ: {sorted(set(names) ^ present)}")
    return [SQL / room / name for name in names]


def policy_files(room: str) -> list[Path]:
    """The files of one room of policies/, in the order of their siblings in sql/."""
    siblings = [POLICIES / room / file.name for file in room_files(room)]
    return [file for file in siblings if file.exists()]


def design() -> list[Path]:
    """Every file of the design, in load order."""
    order = rooms()
    return [file for room in order for file in room_files(room)] + [
        file for room in order for file in policy_files(room)
    ]


def migrations() -> list[Path]:
    """The history, oldest first."""
    return sorted(MIGRATIONS.glob("*.sql"))
