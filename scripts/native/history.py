"""The list of merged migrations, ``tests/database/history/merged.txt``: their hashes, so that nobody edits one.

    python -m scripts.native.history      adds the migrations that the list does not have yet; run it when you merge

A line is a SHA-256 and a file's name, as ``sha256sum`` writes them. Existing lines are never rewritten: a merged
migration has run on databases that nobody can call back, so a correction is a migration of its own.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.native import schema
from scripts.native.paths import REPO

MERGED = REPO / "tests" / "database" / "history" / "merged.txt"
MAX_LOCK_SECONDS = 30
LOCK_TIMEOUT = re.compile(r"set lock_timeout = '(\d+)s';")


def listed(text: str) -> dict[str, str]:
    """The hashes in the text of the list, by file name."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {name: digest for digest, name in lines}


def present(folder: Path = schema.MIGRATIONS) -> dict[str, str]:
    """The hashes of the migrations in a folder, by file name, oldest first."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.sql"))}


def problems(merged: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What has happened to merged migrations, a sentence each."""
    newest = max(merged, default="")
    gone = [f"{name} is merged and must not be deleted or renamed" for name in merged if name not in found]
    changed = [
        f"{name} is merged and must not change: write a new migration"
        for name, digest in merged.items()
        if found.get(name, digest) != digest
    ]
    late = [
        f"{name} is older than the merged {newest}: give it a time of its own after that"
        for name in found
        if name not in merged and name < newest
    ]
    return gone + changed + late


def flaws(text: str) -> list[str]:
    """What the text of a migration lacks, a sentence each."""
    head = text[: len(text) - len(re.sub(r"\A(?:--[^\n]*\n|\s)*", "", text))]
    statements = text[len(head) :]
    wait = LOCK_TIMEOUT.match(statements)
    found = []
    if not re.search(r"\bUndo: \S+", head):
        found.append("its header must say how to undo it, after the word 'Undo:'")
    if wait is None or not 1 <= int(wait[1]) <= MAX_LOCK_SECONDS:
        found.append(
            f"its first statement must be set lock_timeout = 'Ns' with N from 1 to {MAX_LOCK_SECONDS}: "
            "a migration that waits for a lock holds up everybody behind it"
        )
    return found


def main() -> int:
    """Adds what is missing; 1, and nothing written, when a merged migration was touched."""
    merged, found = listed(MERGED.read_text()), present()
    if wrong := problems(merged, found):
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    new = [f"{digest}  {name}\n" for name, digest in found.items() if name not in merged]
    with MERGED.open("a") as out:
        out.writelines(new)
    print(f"{len(new)} migrations added to {MERGED.relative_to(REPO)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
