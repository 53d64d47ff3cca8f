"""The generated pages match the design."""

from __future__ import annotations

from typing import Any

import psycopg

from scripts.native import docs

AGAIN = "stale: python -m scripts.native.scratch_db -- python -m scripts.native.docs"


def test_generated_pages_are_fresh(db: psycopg.Connection[Any]) -> None:
    made = docs.pages(db)
    assert {file.name for file in made} - {file.name for file in docs.DOCS.rglob("*.md")} == set(), AGAIN
    assert {file for file in (docs.DOCS / "er").glob("*.md") if file not in made} == set(), AGAIN
    stale = [file.name for file, text in made.items() if file.read_text() != text]
    assert stale == [], AGAIN


def test_the_pages_notice_a_change(db: psycopg.Connection[Any]) -> None:
    before = docs.pages(db)
    db.execute("alter table public.goals add column probe int")
    db.execute("comment on table public.goals is 'Something else'")
    after = docs.pages(db)
    changed = {file.name for file in after if after[file] != before[file]}
    assert changed == {"access.md", "80_tutoring.md"}
