"""Merged migrations stay as they are; every migration waits for locks briefly and says how to undo it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.native import history, schema

MERGED = {"1_create_a.sql": "x", "3_create_c.sql": "z"}
HEAD = "-- Adds a column to goals. Undo: drop the column.\n\n"


def test_no_merged_migration_was_touched() -> None:
    assert history.problems(history.listed(history.MERGED.read_text()), history.present()) == []


def test_the_list_is_in_order_and_names_each_once() -> None:
    lines = [line for line in history.MERGED.read_text().splitlines() if line and not line.startswith("#")]
    names = [line.split()[1] for line in lines]
    assert names == sorted(set(names))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (MERGED, None),
        ({**MERGED, "4_add_d.sql": "d"}, None),
        ({"1_create_a.sql": "x"}, "3_create_c.sql is merged and must not be deleted"),
        ({**MERGED, "3_create_c.sql": "y"}, "3_create_c.sql is merged and must not change"),
        ({**MERGED, "2_add_b.sql": "b"}, "2_add_b.sql is older than the merged 3_create_c.sql"),
    ],
)
def test_whatever_happens_to_a_merged_migration_is_seen(found: dict[str, str], says: str | None) -> None:
    problems = history.problems(MERGED, found)
    assert problems == [] if says is None else [says in problem for problem in problems] == [True]


def test_new_migrations_are_added_and_nothing_else_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, merged = tmp_path / "migrations", tmp_path / "merged.txt"
    folder.mkdir()
    merged.write_text("# a list\n")
    monkeypatch.setattr(history, "MERGED", merged)
    monkeypatch.setattr(history, "REPO", tmp_path)
    monkeypatch.setattr(history, "present", lambda read=history.present: read(folder))
    (folder / "1_create_a.sql").write_text("select 1;\n")
    assert history.main() == 0
    before = merged.read_text()
    assert history.listed(before) == history.present()
    (folder / "2_add_b.sql").write_text("select 2;\n")
    assert history.main() == 0
    assert merged.read_text().startswith(before)
    assert list(history.listed(merged.read_text())) == ["1_create_a.sql", "2_add_b.sql"]
    (folder / "1_create_a.sql").write_text("select 3;\n")
    before = merged.read_text()
    assert history.main() == 1
    assert merged.read_text() == before


@pytest.mark.parametrize("file", schema.migrations(), ids=lambda file: file.name)
def test_every_migration_waits_briefly_and_can_be_undone(file: Path) -> None:
    assert history.flaws(file.read_text()) == []


@pytest.mark.parametrize(
    ("text", "flaws"),
    [
        (HEAD + "set lock_timeout = '5s';\nalter table public.goals add column a int;\n", 0),
        ("-- Adds a column to goals.\n-- Undo: drop the column.\nset lock_timeout = '30s';\n", 0),
        (HEAD + "alter table public.goals add column a int;\nset lock_timeout = '5s';\n", 1),
        (HEAD + "set lock_timeout = '0s';\n", 1),
        (HEAD + "set lock_timeout = '600s';\n", 1),
        (HEAD + "-- set lock_timeout = '5s';\n", 1),
        ("set lock_timeout = '5s';\n-- Undo: drop the column.\n", 1),
        ("-- Undo:\nset lock_timeout = '5s';\n", 1),
        ("alter table public.goals add column a int;\n", 2),
    ],
)
def test_a_migration_without_them_is_seen(text: str, flaws: int) -> None:
    assert len(history.flaws(text)) == flaws
