"""Files and rows find each other again: files without a row go, rows without their file become failed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.support import materials, rows
from tests.support.people import act_as, freeze, persona, refused

Connection = psycopg.Connection[Any]
SWEEP = "select checked, orphaned, last_key from public.svc_sweep_files(%s, %s)"
FAIL = "select documents, lectures from public.svc_fail_lost_files()"
CLAIM = "select storage_key from public.svc_claim_storage_deletions(%s)"
WAITING = "select storage_key from private.storage_deletions where done_at is null and storage_key = any (%s)"
NOW = "2031-01-01T12:00:00Z"


@pytest.fixture
def store(db: Connection) -> Connection:
    """The database without files, with documents and lectures of nobody else, at a fixed time."""
    freeze(db, NOW)
    db.execute("set local storage.allow_delete_query = 'true'")
    db.execute("delete from storage.objects")
    db.execute("delete from public.documents")
    db.execute("delete from public.lectures")
    db.execute("update private.storage_deletions set done_at = now() where done_at is null")
    return db


def put(db: Connection, *keys: str, at: str = "2031-01-01T10:00:00Z") -> None:
    """Stores files, in the eyes of the database."""
    for key in keys:
        bucket, _, name = key.partition("/")
        db.execute(
            "insert into storage.objects (bucket_id, name, created_at, updated_at) values (%s, %s, %s, %s)",
            (bucket, name, at, at),
        )


def document(db: Connection, **columns: Any) -> str:
    """A document's key."""
    key = f"documents/{uuid.uuid4()}.pdf"
    given = {
        "owner_id": persona(db),
        "catalog_course_id": rows.catalog_course(db),
        "filename": "notes.pdf",
        "storage_key": key,
        "checksum": uuid.uuid4().hex * 2,
        "mime_type": "application/pdf",
        "size_bytes": 10,
    }
    rows.insert(db, "public.documents", given, columns)
    return key


def lecture(db: Connection, *states: str, files: bool = True) -> tuple[uuid.UUID, str, str]:
    """A lecture that went through these states, and the keys of its files."""
    made = rows.lecture(db)
    audio, transcript = f"audio/{made}.m4a", f"transcripts/{made}.json"
    if files:
        db.execute(
            "update public.lectures set audio_storage_key = %s, transcript_storage_key = %s where id = %s",
            (audio, transcript, made),
        )
    for state in states:
        db.execute("update public.lectures set status = %s where id = %s", (state, made))
    return made, audio, transcript


def swept(db: Connection, parameters: tuple[str, int]) -> tuple[Any, ...]:
    """What one step of the sweep answers."""
    row = db.execute(SWEEP, parameters).fetchone()
    assert row is not None
    return tuple(row)


def waiting(db: Connection, keys: Iterable[str]) -> set[str]:
    """Those of the keys that wait to be deleted."""
    return {row[0] for row in db.execute(WAITING, (list(keys),))}


def test_files_without_a_row_go_when_they_are_an_hour_old(store: Connection) -> None:
    kept = document(store)
    live, audio, transcript = lecture(store, "downloading", files=False)
    captions, piece = f"transcripts/{live}.vtt", f"transcripts/{live}/piece-0001.json"
    _, failed_audio, _ = lecture(store, "downloading", "failed")
    store.execute("delete from private.storage_deletions where storage_key = %s", (failed_audio,))
    lost = [
        f"documents/{uuid.uuid4()}.pdf",
        f"audio/{uuid.uuid4()}.m4a",
        "transcripts/odd name",
        "documents/a/b/c",
        "content/x",
        "socratic-audio/z",
    ]
    source = f"content/{uuid.uuid4()}.pdf"
    owner = materials.teacher(store)
    rows.insert(
        store, "public.content_sources", {"teacher_id": owner, "kind": "upload", "title": "x", "storage_key": source}
    )
    put(store, kept, source, audio, transcript, captions, piece, failed_audio, *lost)
    young = [f"documents/{uuid.uuid4()}.pdf", f"audio/{uuid.uuid4()}.m4a"]
    put(store, *young, at="2031-01-01T11:00:01Z")
    elsewhere = ["exports/y", "session-transcripts/z"]
    put(store, *elsewhere)
    with act_as(store, None, "service_role"):
        checked, orphaned, last = swept(store, ("", 1000))
        assert (checked, orphaned) == (17, 7)
        assert store.execute(SWEEP, (last, 1000)).fetchone() == (0, 0, None)
        assert swept(store, ("", 1000))[1] == 0, "each waits once"
    everything = [kept, source, audio, transcript, captions, piece, failed_audio, *lost, *young, *elsewhere]
    assert waiting(store, everything) == {failed_audio, *lost}
    freeze(store, "2031-01-01T12:00:02Z")
    store.execute(SWEEP, ("", 1000))
    assert waiting(store, young) == set(young)


def test_the_sweep_goes_on_where_it_stopped(store: Connection) -> None:
    keys = [f"{bucket}/{uuid.uuid4()}" for bucket in ("audio", "documents", "transcripts") for _ in range(5)]
    put(store, *keys)
    after, seen, found = "", 0, 0
    for _ in range(20):
        checked, orphaned, last = swept(store, (after, 4))
        seen, found = seen + checked, found + orphaned
        if last is None:
            break
        after = last
    assert (seen, found) == (15, 15)
    assert waiting(store, keys) == set(keys)


def test_rows_without_their_file_become_failed(store: Connection) -> None:
    kept, lost = document(store), document(store)
    whole, *files = lecture(store, "downloading", "completed")
    mute, audio, transcript = lecture(store, "downloading", "completed")
    unwritten, other_audio, _ = lecture(store, "downloading", "completed")
    plain, *_ = lecture(store, "downloading", "completed", files=False)
    put(store, kept, *files, transcript, other_audio)
    with act_as(store, None, "service_role"):
        assert store.execute(FAIL).fetchone() == (1, 2)
        assert store.execute(FAIL).fetchone() == (0, 0)
    states = dict(store.execute("select storage_key, status::text from public.documents").fetchall())
    assert (states[kept], states[lost]) == ("uploaded", "failed")
    found = dict(store.execute("select id, status::text from public.lectures").fetchall())
    assert found == {whole: "completed", mute: "failed", unwritten: "failed", plain: "completed"}
    assert waiting(store, [transcript, audio]) == {transcript, audio}, "half a lecture is none"


def test_a_storage_that_was_not_restored_fails_nothing(store: Connection) -> None:
    keys = [document(store) for _ in range(21)]
    refused(store, "23514", FAIL)
    # of 100 files, 25 may be lost
    put(store, *(f"audio/{uuid.uuid4()}" for _ in range(84)))
    assert store.execute(FAIL).fetchone() == (21, 0)
    states = store.execute("select distinct status::text from public.documents where storage_key = any (%s)", (keys,))
    assert states.fetchall() == [("failed",)]


def test_a_file_that_is_used_again_is_not_deleted(store: Connection) -> None:
    made, audio, transcript = lecture(store, "downloading", "failed")
    gone = lecture(store, "downloading", "failed")[1]
    assert waiting(store, [audio, transcript, gone]) == {audio, transcript, gone}
    store.execute("update public.lectures set status = 'pending' where id = %s", (made,))
    store.execute("update private.storage_deletions set next_attempt_at = '2030-01-01Z'")
    with act_as(store, None, "service_role"):
        claimed = {row[0] for row in store.execute(CLAIM, (500,))}
    assert gone in claimed
    assert claimed & {audio, transcript} == set()
    assert waiting(store, [audio, transcript, gone]) == {gone}


def test_without_the_platforms_schema_there_is_nothing_to_sweep(stack: Stack) -> None:
    with psycopg.connect(stack.server.url("supabase_admin")) as owner:
        owner.execute("alter schema storage rename to elsewhere")
        assert owner.execute(SWEEP, ("", 10)).fetchone() == (0, 0, None)
        assert owner.execute(FAIL).fetchone() == (0, 0)
        owner.rollback()


def test_arguments(store: Connection) -> None:
    refused(store, "22004", SWEEP, (None, 1))
    refused(store, "22004", SWEEP, ("", None))
    refused(store, "22003", SWEEP, ("", 0))
    refused(store, "22003", SWEEP, ("", 5001))


def test_the_sweep_is_on_the_schedule(db: Connection) -> None:
    found = db.execute(
        "select cron, tz, type::text, catch_up from private.job_schedules where name = 'storage_cleanup'"
    )
    assert found.fetchone() == ("17 * * * *", "UTC", "storage_cleanup", "one")
