"""The generated pages match the design."""

from __future__ import annotations

import re
from typing import Any

import psycopg

from scripts.native import docs, generate

AGAIN = "stale: run ./scripts/generate"


def test_generated_pages_are_fresh(db: psycopg.Connection[Any]) -> None:
    made = docs.pages(db)
    assert {file.name for file in made} - {file.name for file in docs.DOCS.rglob("*.md")} == set(), AGAIN
    assert {file for file in (docs.DOCS / "er").glob("*.md") if file not in made} == set(), AGAIN
    stale = [file.name for file, text in made.items() if file.read_text() != text]
    assert stale == [], AGAIN


def test_types_of_the_client_are_fresh_and_name_every_table_and_every_id_of_canvas_as_text(
    db: psycopg.Connection[Any], db_url: str
) -> None:
    types = generate.TYPES.read_text()
    assert [file.name for file, _ in generate.differing(db_url)] == [], AGAIN
    tables = {name for (name,) in db.execute("select tablename::text from pg_tables where schemaname = 'public'")}
    assert tables - set(re.findall(r'"(\w+)": \{\s+Row: \{', types)) == set()
    with_text = db.execute(
        "select count(*) from information_schema.columns where table_schema = 'public' and column_name = 'canvas_id'"
    ).fetchone()
    assert with_text is not None
    # in Row, Insert and Update
    assert len(re.findall(r'"canvas_id"\??: string', types)) == 3 * with_text[0]


def test_the_pages_notice_a_change(db: psycopg.Connection[Any]) -> None:
    before = docs.pages(db)
    db.execute("alter table public.goals add column probe int")
    db.execute("comment on table public.goals is 'Something else'")
    after = docs.pages(db)
    changed = {file.name for file in after if after[file] != before[file]}
    assert changed == {"access.md", "80_tutoring.md"}


def test_decisions_are_numbered_once_and_supersede_each_other_both_ways() -> None:
    pages = {file.name: file.read_text() for file in (docs.DOCS / "decisions").glob("*.md")}
    numbers = [int(name[:4]) for name in pages]
    assert sorted(numbers) == list(range(1, len(pages) + 1))
    later: set[tuple[int, int]] = set()
    earlier: set[tuple[int, int]] = set()
    for name, text in pages.items():
        number = int(name[:4])
        assert text.startswith(f"# {number}. "), name
        status = next(line for line in text.splitlines() if line.startswith("Status: "))
        later |= {(int(old), number) for old in re.findall(r"\d+", status.partition("supersedes")[2])}
        earlier |= {(number, int(new)) for new in re.findall(r"\d+", status.partition("superseded by")[2])}
    assert later == earlier
