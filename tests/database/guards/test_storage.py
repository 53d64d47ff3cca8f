"""Files are reached through functions alone: private buckets, no policies; without Storage nothing is to do."""

from __future__ import annotations

from typing import Any

import psycopg

from scripts.native.paths import REPO
from scripts.native.stack import Stack

Connection = psycopg.Connection[Any]
BUCKETS = REPO / "sql" / "90_platform" / "storage_buckets.sql"
PRIVATE = ["audio", "content", "documents", "exports", "session-transcripts", "socratic-audio", "transcripts"]


def test_the_buckets_are_there_and_private(db: Connection) -> None:
    rows = db.execute("select id, name, public from storage.buckets order by id").fetchall()
    assert rows == [(bucket, bucket, False) for bucket in PRIVATE]


def test_no_policy_lets_anybody_in(db: Connection) -> None:
    assert db.execute("select policyname from pg_policies where schemaname = 'storage'").fetchall() == []
    open_tables = db.execute(
        "select relname from pg_class where relnamespace = 'storage'::regnamespace and relkind = 'r'"
        " and not relrowsecurity"
    ).fetchall()
    assert open_tables == []


def test_a_bucket_that_was_opened_is_shut_again(db: Connection) -> None:
    db.execute("update storage.buckets set public = true where id = 'content'")
    db.execute(BUCKETS.read_bytes())
    assert db.execute("select count(*) from storage.buckets where public").fetchone() == (0,)


def test_without_the_platforms_schema_there_is_nothing_to_do(stack: Stack) -> None:
    with psycopg.connect(stack.server.url("supabase_admin")) as owner:
        owner.execute("alter schema storage rename to elsewhere")
        owner.execute(BUCKETS.read_bytes())
        owner.rollback()
