"""The job storage_cleanup with real files: what has no row goes, what lost its file becomes failed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.documents import cleanup as module
from functions.shared.errors import Internal, Unavailable
from functions.shared.jobs import JobFailure
from functions.shared.storage import ObjectMissing, Storage
from tests.functions.documents.conftest import Sql
from tests.support.canvas import Student
from tests.support.documents import handled, pdf, stored

BUCKETS = ("documents", "audio", "transcripts")


@pytest.fixture(autouse=True)
def _quiet(sql: Sql) -> None:
    """Rows of the seed have no files, and what other tests deleted is not this test's."""
    sql(
        "delete from public.documents where not exists (select from storage.objects as o "
        "where 'documents/' || o.name = storage_key)"
    )
    sql("update private.storage_deletions set done_at = now() where done_at is null")


@pytest.fixture
def put(storage: Storage, tmp_path: Path, sql: Sql) -> Callable[..., str]:
    """Stores a file that is as old as wanted."""

    def put(bucket: str, name: str, age: str = "2 hours") -> str:
        file = tmp_path / "file"
        file.write_bytes(b"x")
        storage.upload(bucket, name, file, "text/plain")
        sql(
            "update storage.objects set created_at = now() - %s::interval where bucket_id = %s and name = %s",
            age,
            bucket,
            name,
        )
        return name

    return put


def exists(storage: Storage, bucket: str, name: str) -> bool:
    try:
        storage.signed_url(bucket, name, 60)
    except ObjectMissing:
        return False
    return True


def clean(environment: dict[str, str]) -> dict[str, Any]:
    return handled(environment, "storage_cleanup", {}, None)


def test_files_without_rows_go_and_rows_without_files_fail(
    person: Student,
    course_id: str,
    environment: dict[str, str],
    storage: Storage,
    put: Callable[..., str],
    sql: Sql,
) -> None:
    kept, lost = (stored(person, course_id, pdf([str(uuid.uuid4())])) for _ in range(2))
    storage.remove("documents", [f"{lost['id']}.pdf"])
    orphans = [(bucket, put(bucket, f"{uuid.uuid4()}.x")) for bucket in BUCKETS]
    young = put("documents", f"{uuid.uuid4()}.pdf", "50 minutes")
    other = put("exports", str(uuid.uuid4()), "2 years")
    result = clean(environment)
    assert (result["orphaned"], result["deleted"], result["lost_documents"]) == (3, 3, 1)
    assert not any(exists(storage, bucket, name) for bucket, name in orphans)
    assert exists(storage, "documents", f"{kept['id']}.pdf")
    assert exists(storage, "documents", young)
    assert exists(storage, "exports", other)
    states = {row["id"]: row["status"] for row in person.rows("documents")}
    assert states == {kept["id"]: "uploaded", lost["id"]: "failed"}
    again = clean(environment)
    assert (again["orphaned"], again["deleted"], again["lost_documents"]) == (0, 0, 0)
    assert sql("select count(*) from private.storage_deletions where done_at is null") == [(0,)]


def test_a_row_deleted_over_rest_loses_its_file(
    person: Student, course_id: str, environment: dict[str, str], storage: Storage
) -> None:
    row = stored(person, course_id, pdf([str(uuid.uuid4())]))
    assert person.rest.delete("/documents", params={"id": f"eq.{row['id']}"}).status_code == 204
    assert exists(storage, "documents", f"{row['id']}.pdf")
    assert clean(environment)["deleted"] == 1
    assert not exists(storage, "documents", f"{row['id']}.pdf")


def test_it_goes_on_in_small_steps(
    environment: dict[str, str], storage: Storage, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES_AT_ONCE", 2)
    monkeypatch.setattr(module, "DELETIONS_AT_ONCE", 2)
    names = [put("audio", f"{uuid.uuid4()}.m4a") for _ in range(7)]
    assert clean(environment)["deleted"] == 7
    assert not any(exists(storage, "audio", name) for name in names)


def test_what_cannot_be_deleted_waits_and_does_not_hold_up_the_rest(
    environment: dict[str, str], storage: Storage, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch, sql: Sql
) -> None:
    audio, transcript = put("audio", f"{uuid.uuid4()}.m4a"), put("transcripts", f"{uuid.uuid4()}.json")
    remove = Storage.remove

    def refuse(self: Storage, bucket: str, keys: list[str]) -> None:
        if bucket == "audio":
            raise Unavailable
        remove(self, bucket, keys)

    monkeypatch.setattr(Storage, "remove", refuse)
    with pytest.raises(JobFailure) as failed:
        clean(environment)
    assert (failed.value.code, failed.value.retryable) == ("service_unavailable", True)
    assert exists(storage, "audio", audio)
    assert not exists(storage, "transcripts", transcript)
    ((error, attempts),) = sql(
        "select last_error, attempts from private.storage_deletions where storage_key = %s", f"audio/{audio}"
    )
    assert (error, attempts) == ("service_unavailable", 1)
    monkeypatch.undo()
    sql("update private.storage_deletions set next_attempt_at = now() where done_at is null")
    assert clean(environment)["deleted"] == 1


def test_a_job_killed_between_claim_and_deletion_loses_nothing(
    environment: dict[str, str], storage: Storage, put: Callable[..., str], monkeypatch: pytest.MonkeyPatch, sql: Sql
) -> None:
    audio = put("audio", f"{uuid.uuid4()}.m4a")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Storage, "remove", die)
    with pytest.raises(KeyboardInterrupt):
        clean(environment)
    monkeypatch.undo()
    assert exists(storage, "audio", audio)
    sql("update private.storage_deletions set next_attempt_at = now() where done_at is null")
    assert clean(environment)["deleted"] == 1
    assert not exists(storage, "audio", audio)


def test_a_storage_that_was_not_restored_is_reported(
    person: Student, course_id: str, environment: dict[str, str], sql: Sql
) -> None:
    row = stored(person, course_id, pdf([str(uuid.uuid4())]))
    ((stored_files,),) = sql("select count(*) from storage.objects where bucket_id = any (%s)", list(BUCKETS))
    sql(
        "insert into public.documents (owner_id, catalog_course_id, filename, storage_key, checksum, mime_type, "
        "size_bytes) select owner_id, catalog_course_id, 'x', 'documents/' || gen_random_uuid() || '.pdf', "
        "encode(sha256(n::text::bytea), 'hex'), mime_type, 1 from public.documents, generate_series(1, %s) as n "
        "where id = %s",
        max(21, stored_files // 4 + 1),
        row["id"],
    )
    with pytest.raises(JobFailure) as failed:
        clean(environment)
    assert (failed.value.code, failed.value.retryable) == ("storage_mismatch", False)
    assert {found["status"] for found in person.rows("documents")} == {"uploaded"}
    sql("delete from public.documents where filename = 'x' and owner_id = %s", person.user_id)


def test_an_unexpected_refusal_counts_as_a_failed_attempt(
    environment: dict[str, str], put: Callable[..., str], monkeypatch: pytest.MonkeyPatch, sql: Sql
) -> None:
    audio = put("audio", f"{uuid.uuid4()}.m4a")

    def refuse(*_: Any) -> None:
        raise Internal

    monkeypatch.setattr(Storage, "remove", refuse)
    with pytest.raises(JobFailure):
        clean(environment)
    assert sql("select last_error from private.storage_deletions where storage_key = %s", f"audio/{audio}") == [
        ("internal",)
    ]
