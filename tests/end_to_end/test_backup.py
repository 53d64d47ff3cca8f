"""The backup and the restore of docs/operations.md, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from scripts.native import paths, postgres, schema
from scripts.native.auth import AUTH_SCHEMA, migrate_real_auth
from scripts.native.programs import cli_environment
from scripts.native.stack import Stack

PAGE = paths.REPO / "docs" / "operations.md"
OLD, NEW = "backup_of", "restored_to"
TABLES = """
    select schemaname, tablename from pg_tables
    where schemaname in ('auth', 'public', 'private') and (schemaname, tablename) <> ('auth', 'schema_migrations')
    order by 1, 2
"""


def commands() -> list[str]:
    """The shell blocks of the page's section: the backup, then the restore."""
    section = PAGE.read_text().split("## Backup and restore\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def databases(stack: Stack) -> Iterator[tuple[str, str]]:
    """A school in use, and a new project where Auth alone has been at work."""
    try:
        for name in (OLD, NEW):
            stack.server.execute(f"create database {name} template template0", user="supabase_admin")
            stack.server.bootstrap(None if stack.auth_is_real else AUTH_SCHEMA, database=name)
            if stack.auth_is_real:
                migrate_real_auth(stack.server, name)
        for file in schema.migrations():
            # one transaction each: a new value of an enum may be used after its own alone
            stack.server.psql(file, database=OLD)
        # values of enums that a migration adds can be used only after its transaction
        stack.server.psql(paths.REPO / "supabase" / "seed.sql", database=OLD)
        yield stack.server.url(database=OLD), stack.server.url(database=NEW)
    finally:
        for name in (OLD, NEW):
            stack.server.execute(f"drop database if exists {name} with (force)", user="supabase_admin")


def run(command: str, folder: Path, old: str, new: str) -> subprocess.CompletedProcess[str]:
    """One block of the page, in bash."""
    path = os.pathsep.join([str(postgres.binaries()), str(paths.NODE_MODULES / ".bin"), os.environ["PATH"]])
    command = command.replace("npx supabase db push", f"supabase db push --workdir={paths.REPO}")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**cli_environment(), "PATH": path, "DATABASE_URL": old, "NEW_DATABASE_URL": new},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def content(url: str) -> dict[str, tuple[int, str]]:
    """Every table's rows, as their number and a digest; every sequence's last value."""
    found = {}
    with psycopg.connect(url) as db:
        for space, table in db.execute(TABLES).fetchall():
            row = db.execute(
                f"select count(*), coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {space}.{table} t"
            ).fetchone()
            assert row is not None
            found[f"{space}.{table}"] = (row[0], row[1])
        sequences = "select schemaname || '.' || sequencename, coalesce(last_value, 0) from pg_sequences"
        for name, value in db.execute(f"{sequences} where schemaname in ('auth', 'public', 'private')").fetchall():
            found[name] = (value, "")
    return found


def fill_as_migrations_may(restore: str, folder: Path, old: str, new: str) -> None:
    """The restore's first line applies the migrations; then there is a row, as migrations may leave some."""
    push, _ = restore.split("\n", 1)
    done = run(push, folder, old, new)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(new) as db:
        db.execute("insert into public.subjects (name) values ('Left by a migration')")


def test_a_restored_project_has_everything_that_was_backed_up(databases: tuple[str, str], tmp_path: Path) -> None:
    old, new = databases
    backup, restore = commands()
    done = run(backup, tmp_path, old, new)
    assert done.returncode == 0, done.stderr
    fill_as_migrations_may(restore, tmp_path, old, new)
    done = run(restore, tmp_path, old, new)
    assert done.returncode == 0, done.stderr
    before, after = content(old), content(new)
    assert before["auth.users"][0] > 10, "the school has people"
    assert sum(1 for count, _ in before.values() if count) > 40, "most tables have rows"
    assert {name: (before[name], after.get(name)) for name in before if before[name] != after.get(name)} == {}
    with psycopg.connect(new) as db:
        # everything is still guarded afterwards: triggers, foreign keys, policies
        with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
            db.execute("insert into public.profiles (user_id) values (gen_random_uuid())")
        person = db.execute("select user_id from public.profiles where display_name = 'Student'").fetchone()
        db.execute("delete from auth.users where id = %s", person)
        assert db.execute("select count(*) from public.profiles where user_id = %s", person).fetchone() == (0,)


def test_a_restore_that_fails_leaves_the_new_project_as_it_was(databases: tuple[str, str], tmp_path: Path) -> None:
    old, new = databases
    backup, restore = commands()
    assert run(backup, tmp_path, old, new).returncode == 0
    whole = (tmp_path / "backup.sql").read_text()
    (tmp_path / "backup.sql").write_text(whole[: len(whole) // 2] + "\n\\.\nselect broken;\n")
    fill_as_migrations_may(restore, tmp_path, old, new)
    before = content(new)
    assert before["public.subjects"][0] == 1
    assert run(restore, tmp_path, old, new).returncode != 0
    assert content(new) == before
