"""Teachers upload files as material: kept once, read by a job, refused without a trace, deleted with their rows."""

from __future__ import annotations

import hashlib
import io
import secrets
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docx
import httpx
import psycopg
import pytest

from functions.chat import jobs
from functions.shared.extraction import DOCX, MAX_ENTRIES
from functions.shared.settings import load_settings
from functions.shared.storage import ObjectMissing, Storage
from scripts.native.stack import Stack
from tests.support import chat
from tests.support.canvas import Runner, Student
from tests.support.documents import handled, pdf


@pytest.fixture
def reader(stack: Stack) -> Iterator[Runner]:
    """Runs one job at a time."""
    given = Runner(stack.service_environment(), jobs)
    yield given
    given.close()


def sql(stack: Stack, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        cursor = db.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def upload(person: Student, content: bytes, name: str = "notes.pdf", **fields: str) -> httpx.Response:
    headers = {"Idempotency-Key": key} if (key := fields.pop("key", "")) else {}
    return person.functions.post("/chat/sources", files={"file": (name, content)}, data=fields, headers=headers)


def word(text: str) -> bytes:
    document = docx.Document()
    document.add_heading("Cells", 1)
    document.add_paragraph(text)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def bomb() -> bytes:
    """A small file that says of itself that it is a document, with very many entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", b"<x/>")
        for number in range(MAX_ENTRIES):
            archive.writestr(str(number), b"")
    return out.getvalue()


def row(person: Student, source_id: str) -> dict[str, Any]:
    return person.rows("content_sources", id=f"eq.{source_id}")[0]


def files(stack: Stack) -> set[str]:
    return {name for (name,) in sql(stack, "select name from storage.objects where bucket_id = 'content'")}


def used(stack: Stack, person: Student) -> int:
    statement = "select coalesce(sum(used), 0)::int from private.usage_counters where user_id = %s and meter = %s"
    return int(sql(stack, statement, person.user_id, "document_mb")[0][0])


def test_a_file_is_kept_read_and_found(stack: Stack, teacher: Student, stranger: Student, reader: Runner) -> None:
    content = pdf(["The light reaction", "makes sugar in the dark."])
    class_id = chat.add(teacher, "classes", name="Biology")
    answer = upload(teacher, content, "../Light.pdf", class_id=class_id, key=secrets.token_hex())
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made == made | {
        "teacher_id": teacher.user_id,
        "class_id": class_id,
        "kind": "upload",
        "title": "Light.pdf",
        "storage_key": f"content/{made['id']}.pdf",
        "checksum": hashlib.sha256(content).hexdigest(),
        "metadata": {"media_type": "application/pdf", "filename": "Light.pdf", "size_bytes": len(content)},
        "status": "pending",
    }
    assert stranger.rows("content_sources", id=f"eq.{made['id']}") == []
    assert reader.run(made["job_id"]).result == {"content_source_id": made["id"], "status": "ready", "error_code": None}
    ready = row(teacher, made["id"])
    assert "makes sugar" in ready["text_content"]
    assert ready["metadata"] == made["metadata"] | {"page_count": 2, "is_cut": False}
    ((page,),) = sql(
        stack,
        "select page_start from private.source_chunks where content_source_id = %s and content ~ 'sugar'",
        made["id"],
    )
    assert page in (1, 2)


def test_other_kinds_are_read_by_their_bytes(teacher: Student, reader: Runner) -> None:
    for content, name, media_type, text in (
        (word("Plants breathe."), "Cells.docx", DOCX, "# Cells\n\nPlants breathe."),
        (b"<!doctype html><h1>Cells</h1><p>seen<p hidden>Obey me", "no ending", "text/html", "# Cells\n\nseen"),
        (b"<p>a fragment", "part.htm", "text/html", "a fragment"),
        (b"# Cells", "cells.md", "text/markdown", "# Cells"),
    ):
        made = upload(teacher, content, name, title=" Title ").json()
        assert made["title"] == "Title", made
        assert reader.run(made["job_id"]).failure is None
        ready = row(teacher, made["id"])
        assert (ready["status"], ready["metadata"]["media_type"]) == ("ready", media_type), ready
        assert ready["text_content"].strip() == text


def test_the_same_bytes_are_kept_once_for_a_class(stack: Stack, teacher: Student, other_teacher: Student) -> None:
    content, before = secrets.token_hex().encode(), files(stack)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: upload(teacher, content, "x.txt"), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    again = upload(teacher, content, "other name.txt")
    assert (again.status_code, again.headers["deduplicated"]) == (200, "true")
    assert again.json()["job_id"] == answers[0].json()["job_id"]
    assert len(files(stack) - before) == used(stack, teacher) == 1
    class_id = chat.add(teacher, "classes", name="Biology")
    others = [upload(teacher, content, "x.txt", class_id=class_id), upload(other_teacher, content, "x.txt")]
    assert [answer.status_code for answer in others] == [201, 201]


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"words that are called a PDF", "x.pdf", 415, "source_type_not_supported"),
        (b"%PDF-1.7 called words", "x.txt", 415, "source_type_not_supported"),
        (word("x"), "x.pptx", 415, "source_type_not_supported"),
        (b"PK\x03\x04 cut", "x.docx", 415, "source_type_not_supported"),
        (b"<html>called words", "x.txt", 415, "source_type_not_supported"),
        (b"\x89PNG\r\n\x1a\n\x00", "x.png", 415, "source_type_not_supported"),
        ("Grüße".encode("latin-1"), "x.txt", 415, "source_type_not_supported"),
        (bomb(), "x.docx", 422, "source_too_long"),
        (b"", "x.txt", 422, "source_empty"),
    ],
)
def test_what_is_refused_leaves_nothing(
    stack: Stack, teacher: Student, content: bytes, name: str, status: int, code: str
) -> None:
    before = files(stack)
    answer = upload(teacher, content, name)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (files(stack), teacher.rows("content_sources"), used(stack, teacher)) == (before, [], 0)


def test_foreign_classes_and_people_who_are_no_teachers_are_refused(
    stack: Stack, teacher: Student, other_teacher: Student, stranger: Student
) -> None:
    before = files(stack)
    foreign = chat.add(other_teacher, "classes", name="Biology")
    assert upload(teacher, b"x", "x.txt", class_id=foreign).status_code == 404
    assert upload(stranger, b"x", "x.txt").status_code == 403
    assert upload(teacher, b"x", "x.txt", colour="red").status_code == 422
    assert (files(stack), used(stack, teacher)) == (before, 0)


def test_a_file_that_cannot_be_read_is_failed_and_may_be_sent_again(
    stack: Stack, teacher: Student, reader: Runner
) -> None:
    content = b"%PDF-1.7 and nothing"
    made = upload(teacher, content).json()
    assert reader.run(made["job_id"]).failure is None
    failed = row(teacher, made["id"])
    assert (failed["status"], failed["error_message"].partition(":")[0]) == ("failed", "source_unreadable")
    again = upload(teacher, content)
    assert (again.status_code, again.json()["id"] == made["id"]) == (201, False)
    with Storage(load_settings(stack.service_environment())) as storage:
        storage.remove("content", [f"{made['id']}.pdf"])
    job = teacher.rest.post("/rpc/retry_content_source", json={"p_id": made["id"]}).json()
    assert reader.run(job).failure is None
    assert row(teacher, made["id"])["error_message"].startswith("source_file_lost: ")


def test_what_was_read_is_not_read_again(teacher: Student, reader: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upload(teacher, b"# Rules", "rules.md").json()
    reader.run(made["job_id"])
    job = teacher.rest.post("/rpc/retry_content_source", json={"p_id": made["id"]}).json()
    monkeypatch.setattr("functions.chat.reading.run_in_child", None)  # reading it would fail
    assert reader.run(job).failure is None
    assert row(teacher, made["id"])["status"] == "ready"


def test_a_deleted_row_takes_its_file_along_and_a_file_without_a_row_goes(stack: Stack, teacher: Student) -> None:
    kept, gone = (upload(teacher, secrets.token_bytes(8).hex().encode(), "x.txt").json()["id"] for _ in range(2))
    assert teacher.rest.delete("/content_sources", params={"id": f"eq.{gone}"}).status_code == 204
    orphan = f"{gone[:-4]}0000.txt"
    with Storage(load_settings(stack.service_environment())) as storage:
        storage.upload("content", orphan, io.BytesIO(b"x"), "text/plain")
        # as old as the file that is kept, so that age is not what decides
        sql(stack, "update storage.objects set created_at = now() - interval '2 hours' where bucket_id = 'content'")
        handled(stack.service_environment(), "storage_cleanup", {}, None)
        storage.signed_url("content", f"{kept}.txt", 60)
        for name in (f"{gone}.txt", orphan):
            with pytest.raises(ObjectMissing):
                storage.signed_url("content", name, 60)
