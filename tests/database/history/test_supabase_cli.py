"""What the real supabase CLI says of the schema: migrations apply, and it has no advice."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from scripts.native import schema
from scripts.native.generate import database_alone
from scripts.native.paths import REPO
from scripts.native.programs import cli_environment, supabase_cli
from scripts.native.stack import Stack


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the CLI in the repository."""
    return subprocess.run(
        [*supabase_cli(), *arguments], cwd=REPO, capture_output=True, text=True, check=False, env=cli_environment()
    )


@pytest.fixture(scope="module")
def fresh() -> Iterator[Stack]:
    """A database nobody has worked in: the advisors also look at bloat, which other tests leave behind."""
    with database_alone() as stack:
        yield stack


def test_every_migration_is_applied_in_order(stack: Stack) -> None:
    with psycopg.connect(stack.db_url) as connection:
        applied = connection.execute("select version from supabase_migrations.schema_migrations order by 1").fetchall()
    assert [version for (version,) in applied] == [file.name.split("_", 1)[0] for file in schema.migrations()]


def test_migration_names_tell_when_and_what() -> None:
    for file in schema.migrations():
        stamp, verb, *what = file.stem.split("_")
        assert len(stamp) == 14, file.name
        assert stamp.isdigit(), file.name
        assert verb, file.name
        assert what, file.name


def test_advisors_find_nothing(fresh: Stack) -> None:
    done = cli("db", "advisors", f"--remote={fresh.db_url}", "--level", "info", "--output-format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"] == []


def test_advisors_would_find_a_flaw(fresh: Stack) -> None:
    with psycopg.connect(fresh.db_url, autocommit=True) as connection:
        connection.execute("create table public.advisor_probe (id int)")
        connection.execute("grant select on public.advisor_probe to anon")
        try:
            done = cli("db", "advisors", f"--remote={fresh.db_url}", "--level", "info", "--output-format", "json")
        finally:
            connection.execute("drop table public.advisor_probe")
    assert "advisor_probe" in json.dumps(json.loads(done.stdout)["results"])
