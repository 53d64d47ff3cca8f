"""``./scripts/generate``: writes every generated file from the database as it is today.

``GENERATORS`` is the list: each yields files and what should stand in them. ./scripts/check and tests compare.
policies/privileges.txt is not among them: it is reviewed, so it is written on purpose (scripts/native/privileges.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from scripts.native import docs
from scripts.native.paths import REPO
from scripts.native.stack import Options, Stack


def _pages(db_url: str) -> Iterator[tuple[Path, str]]:
    with psycopg.connect(db_url) as connection:
        yield from docs.pages(connection).items()


GENERATORS: list[Callable[[str], Iterator[tuple[Path, str]]]] = [_pages]


def differing(db_url: str) -> Iterator[tuple[Path, str]]:
    """The files whose content is not what the database says, with what it should be."""
    for generator in GENERATORS:
        for file, wanted in generator(db_url):
            if not file.exists() or file.read_text() != wanted:
                yield file, wanted


def database_alone() -> Stack:
    """A stack that is only asked for its database."""
    return Stack(Options(without=frozenset({"functions", "worker", "model"}), quiet=True))


def stale() -> str:
    """The names of files that are not fresh, one a line; nothing when all are."""
    with database_alone() as stack:
        names = [str(file.relative_to(REPO)) for file, _ in differing(stack.db_url)]
    return "".join(f"{name} is stale: run ./scripts/generate\n" for name in names)


def main() -> int:
    """Writes what differs and says so."""
    with database_alone() as stack:
        for file, wanted in differing(stack.db_url):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted)
            print(f"wrote {file.relative_to(REPO)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
