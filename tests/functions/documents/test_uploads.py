"""Uploads over HTTP: stored once, streamed, refused without a trace, given back by signed addresses, deleted."""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import psutil
import pytest

from functions.shared.storage import Storage
from scripts.native.stack import Stack
from tests.functions.documents.conftest import Sql
from tests.standins.canvas import PLAIN
from tests.support.canvas import Student
from tests.support.documents import course, pdf, stored, upload
from tests.support.waiting import wait_until

MIB = 1024 * 1024
JOBS = "select count(*) from private.job_runtime where type = 'document_ingest' and payload ->> 'document_id' = %s"


def test_a_document_is_stored_and_its_owner_sees_it(
    stack: Stack, person: Student, stranger: Student, course_id: str, sql: Sql
) -> None:
    content = pdf(["The light reaction"])
    answer = upload(person, course_id, content, "../Light reaction.pdf")
    assert answer.status_code == 201, answer.text
    row = answer.json()
    assert row == row | {
        "owner_id": person.user_id,
        "catalog_course_id": course_id,
        "filename": "Light reaction.pdf",
        "storage_key": f"documents/{row['id']}.pdf",
        "checksum": hashlib.sha256(content).hexdigest(),
        "mime_type": "application/pdf",
        "size_bytes": len(content),
        "page_count": None,
        "status": "uploaded",
        "ingest_status": "pending",
        "ingest_error": None,
    }
    (seen,) = person.rows("documents", id=f"eq.{row['id']}")
    assert seen.keys() == row.keys()
    assert {**seen, "created_at": 0, "updated_at": 0} == {**row, "created_at": 0, "updated_at": 0}
    assert stranger.rows("documents", id=f"eq.{row['id']}") == []
    assert sql(JOBS, row["id"]) == [(1,)]
    address = person.functions.get(f"/documents/{row['id']}/file")
    assert address.status_code == 200, address.text
    found = address.json()
    assert found["filename"] == "Light reaction.pdf"
    left = datetime.fromisoformat(found["expires_at"]).timestamp() - time.time()
    assert 240 < left <= 301
    file = httpx.get(found["url"], verify=PLAIN)
    assert (file.status_code, file.content) == (200, content)
    assert "Light%20reaction.pdf" in file.headers["content-disposition"]
    assert file.headers["content-type"] == "application/pdf"


@pytest.mark.parametrize(
    ("content", "name", "mime_type", "suffix"),
    [
        (b"plain words", "notes.txt", "text/plain", "txt"),
        (b"# Title", "notes.md", "text/markdown", "md"),
        ("\ufeffmit BOM".encode(), "noten.txt", "text/plain", "txt"),
        (b"words that are called a PDF", "notes.pdf", "text/plain", "txt"),
    ],
)
def test_text_is_accepted(
    person: Student, course_id: str, content: bytes, name: str, mime_type: str, suffix: str
) -> None:
    row = stored(person, course_id, content, name)
    assert (row["mime_type"], row["storage_key"]) == (mime_type, f"documents/{row['id']}.{suffix}")


def test_the_same_bytes_are_stored_once_for_a_person_and_a_course(
    stack: Stack, person: Student, stranger: Student, course_id: str, files: Callable[[], set[str]]
) -> None:
    content = pdf([secrets.token_hex()])
    first = upload(person, course_id, content)
    before = files()
    again = upload(person, course_id, content, "other name.pdf")
    assert (again.status_code, again.headers["deduplicated"]) == (200, "true")
    assert again.json() == first.json()
    assert "deduplicated" not in first.headers
    assert files() == before
    others = [upload(stranger, course_id, content), upload(person, course(stack), content)]
    assert [answer.status_code for answer in others] == [201, 201]
    assert len(files() - before) == 2


def test_two_uploads_of_the_same_bytes_at_once_make_one_row_and_one_file(
    person: Student, course_id: str, files: Callable[[], set[str]], sql: Sql
) -> None:
    for _ in range(4):
        content = pdf([secrets.token_hex()])
        before = files()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: upload(person, course_id, content), range(4)))  # noqa: B023
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        row = answers[0].json()
        assert files() - before == {f"{row['id']}.pdf"}
        assert len(person.rows("documents", checksum=f"eq.{row['checksum']}")) == 1
        assert sql(JOBS, row["id"]) == [(1,)]


def test_a_failed_row_is_used_again(
    person: Student, course_id: str, storage: Storage, files: Callable[[], set[str]], sql: Sql
) -> None:
    content = pdf([secrets.token_hex()])
    row = stored(person, course_id, content)
    storage.remove("documents", [f"{row['id']}.pdf"])
    sql("update public.documents set status = 'failed', ingest_status = 'ready' where id = %s", row["id"])
    assert person.functions.get(f"/documents/{row['id']}/file").status_code == 404
    answer = upload(person, course_id, content, "again.pdf")
    assert answer.status_code == 201
    again = answer.json()
    assert (again["id"], again["status"], again["filename"]) == (row["id"], "uploaded", "again.pdf")
    assert again["ingest_status"] == "pending"
    assert f"{row['id']}.pdf" in files()


def test_uploads_count_in_begun_mebibytes_and_what_failed_does_not(person: Student, course_id: str, sql: Sql) -> None:
    used = "select coalesce(sum(used), 0)::int from private.usage_counters where user_id = %s and meter = 'document_mb'"
    content = b"x" * (2 * MIB + 1)
    stored(person, course_id, content, "x.txt")
    assert sql(used, person.user_id) == [(3,)]
    assert upload(person, course_id, content, "x.txt").status_code == 200
    assert upload(person, str(uuid.uuid4()), b"y", "y.txt").status_code == 404
    assert sql(used, person.user_id) == [(3,)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: upload(person, course_id, b"z" * MIB, "z.txt"), range(3)))
    assert sql(used, person.user_id) == [(4,)], "the losers of a race gave theirs back"


def test_a_plan_that_allows_no_more_says_when_it_will(
    person: Student, course_id: str, sql: Sql, files: Callable[[], set[str]]
) -> None:
    ((terms,),) = sql("select pg_get_functiondef('private.usage_terms(uuid, text)'::regprocedure)")
    sql(terms.replace("null::bigint", f"(case when p_user_id = '{person.user_id}' then 1 end)::bigint"))
    try:
        before = files()
        answer = upload(person, course_id, b"x" * (MIB + 1), "x.txt")
        assert (answer.status_code, answer.json()["code"]) == (429, "plan_limit_reached")
        assert answer.json()["details"] == {"meter": "document_mb", "used": 0, "limit": 1}
        assert 0 < int(answer.headers["retry-after"]) <= 31 * 86_400
        assert files() == before
        assert upload(person, course_id, b"x", "x.txt").status_code == 201
    finally:
        sql(terms)


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "notes.pdf", 422, "document_empty"),
        (b"PK\x03\x04\x00", "notes.pdf", 415, "document_type_not_supported"),
        ("Grüße".encode("latin-1"), "notes.txt", 415, "document_type_not_supported"),
        (b"one\x00two", "notes.txt", 415, "document_type_not_supported"),
        (b"<!doctype html>", "notes.txt", 415, "document_type_not_supported"),
    ],
)
def test_refusals_leave_nothing(
    person: Student,
    course_id: str,
    files: Callable[[], set[str]],
    content: bytes,
    name: str,
    status: int,
    code: str,
) -> None:
    before = files()
    answer = upload(person, course_id, content, name)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert files() == before
    assert person.rows("documents") == []


def test_only_a_known_course_and_known_fields(person: Student, course_id: str) -> None:
    def problem(answer: httpx.Response) -> tuple[int, str, Any]:
        return answer.status_code, answer.json()["code"], answer.json()["details"]

    missing = upload(person, str(uuid.uuid4()), b"x", "x.txt")
    assert problem(missing)[:2] == (404, "catalog_course_not_found")
    wrong = upload(person, "17", b"x", "x.txt")
    assert problem(wrong) == (422, "validation_failed", [{"path": "catalog_course_id", "code": "uuid_parsing"}])
    unknown = upload(person, course_id, b"x", "x.txt", course="x")
    assert problem(unknown) == (422, "validation_failed", [{"path": "course", "code": "extra_forbidden"}])
    json = person.functions.post("/documents", json={"catalog_course_id": course_id})
    assert problem(json)[:2] == (415, "unsupported_media_type")
    nobody = httpx.post(f"{person.functions.base_url}documents", files={"file": b"x"}, verify=PLAIN)
    assert problem(nobody)[:2] == (401, "unauthorized")
    assert person.rows("documents") == []


def test_a_name_may_be_given(person: Student, course_id: str) -> None:
    answer = upload(person, course_id, b"# x", "x.txt", filename="Über/uns.md")
    assert (answer.json()["filename"], answer.json()["mime_type"]) == ("uns.md", "text/markdown")


def test_the_same_key_stores_once_and_answers_the_same(person: Student, course_id: str, sql: Sql) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = upload(person, course_id, b"once", "x.txt", headers=key)
    again = upload(person, course_id, b"once", "x.txt", headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = upload(person, course_id, b"twice", "x.txt", headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert len(person.rows("documents")) == 1
    refused = {"Idempotency-Key": secrets.token_hex(8)}
    assert upload(person, course_id, b"", "x.txt", headers=refused).status_code == 422
    assert upload(person, course_id, b"", "x.txt", headers=refused).headers["idempotent-replayed"] == "true"


def test_deleting_takes_row_file_and_fragments(
    person: Student, stranger: Student, course_id: str, files: Callable[[], set[str]], sql: Sql
) -> None:
    row = stored(person, course_id, pdf([secrets.token_hex()]))
    sql("select public.svc_replace_chunks('document', %s, '[{\"content\": \"x\"}]')", row["id"])
    for answer in (
        stranger.functions.delete(f"/documents/{row['id']}"),
        stranger.functions.get(f"/documents/{row['id']}/file"),
        person.functions.delete(f"/documents/{uuid.uuid4()}"),
        person.functions.get("/documents/17/file"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert f"{row['id']}.pdf" in files()
    assert person.functions.delete(f"/documents/{row['id']}").status_code == 204
    assert person.functions.delete(f"/documents/{row['id']}").status_code == 404
    assert person.rows("documents", id=f"eq.{row['id']}") == []
    assert f"{row['id']}.pdf" not in files()
    assert sql("select count(*) from private.source_chunks where document_id = %s", row["id"]) == [(0,)]


# ---- large files -------------------------------------------------------------------------------------------------


def pieces(size: int, boundary: str, course_id: str, mark: bytes) -> Iterator[bytes]:
    """A form with a text of so many bytes, a piece at a time."""
    yield (
        f'--{boundary}\r\nContent-Disposition: form-data; name="catalog_course_id"\r\n\r\n{course_id}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="big.txt"\r\n\r\n'
    ).encode() + mark
    left = size - len(mark)
    while left > 0:
        yield b"0123456789abcde\n" * 4096 if left >= 65_536 else b"x" * left
        left -= 65_536
    yield f"\r\n--{boundary}--\r\n".encode()


def send_big(person: Student, course_id: str, size: int, *, chunked: bool, url: str = "/documents") -> httpx.Response:
    """POSTs a text of so many bytes without holding it."""
    boundary, mark = secrets.token_hex(8), secrets.token_hex(8).encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if not chunked:
        headers["Content-Length"] = str(sum(map(len, pieces(size, boundary, course_id, mark))))
    return person.functions.post(url, content=pieces(size, boundary, course_id, mark), headers=headers)


def memory(stack: Stack) -> int:
    """The resident memory of the largest process that serves the functions, in bytes."""
    found: list[int] = [
        process.info["memory_info"].rss
        for process in psutil.process_iter(["cmdline", "memory_info"])
        if f"127.0.0.1:{stack.functions_port}" in (process.info["cmdline"] or ()) and process.info["memory_info"]
    ]
    assert found, "no process of the functions was found"
    return max(found)


@pytest.mark.parametrize("chunked", [False, True])
def test_fifty_mebibytes_need_little_memory(stack: Stack, person: Student, course_id: str, chunked: bool) -> None:
    assert upload(person, course_id, b"warm up", "x.txt").status_code in (200, 201)
    before, peak, done = memory(stack), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, memory(stack))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = send_big(person, course_id, 50 * MIB, chunked=chunked)
    finally:
        done.set()
        watcher.join()
    assert answer.status_code == 201, answer.text
    assert answer.json()["size_bytes"] == 50 * MIB
    assert peak - before < 64 * MIB


@pytest.mark.parametrize("size", [50 * MIB + 1, 60 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_fifty_mebibytes_are_refused(
    person: Student, course_id: str, files: Callable[[], set[str]], size: int, chunked: bool
) -> None:
    before = files()
    answer = send_big(person, course_id, size, chunked=chunked)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert files() == before
    assert person.rows("documents") == []


@pytest.mark.parametrize(("token", "status"), [("person", 413), ("nobody", 401)])
def test_a_refusal_arrives_although_the_body_is_still_being_sent(
    stack: Stack, person: Student, course_id: str, token: str, status: int
) -> None:
    """A closed socket with unread bytes is reset, and the client would see that instead of the answer."""
    body = pieces(60 * MIB, "b", course_id, b"")
    head = [
        "POST /functions/v1/documents HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {person.token if token == 'person' else token}",
        "Content-Type: multipart/form-data; boundary=b",
        "Transfer-Encoding: chunked",
    ]
    with socket.create_connection(("127.0.0.1", stack.functions_port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        for piece in body:
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


def test_other_routes_keep_their_limit(person: Student, course_id: str) -> None:
    answer = send_big(person, course_id, 2 * MIB, chunked=False, url="/headstart/runs")
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_hangs_up_leaves_nothing(
    stack: Stack, person: Student, course_id: str, files: Callable[[], set[str]], chunked: bool
) -> None:
    before = files()
    log = stack.log_dir / "functions.log"
    seen = len(log.read_text())
    head = [
        "POST /functions/v1/documents HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {person.token}",
        "Content-Type: multipart/form-data; boundary=b",
        "Transfer-Encoding: chunked" if chunked else f"Content-Length: {MIB}",
    ]
    body = b"".join(pieces(MIB // 2, "b", course_id, b""))[: MIB // 4]
    if chunked:
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    # past the gateway, which may notice first and send nothing on
    with socket.create_connection(("127.0.0.1", stack.functions_port)) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
    wait_until(lambda: '"route": "/functions/v1/documents"' in log.read_text()[seen:])
    assert '"status": 201' not in log.read_text()[seen:]
    assert files() == before
    assert person.rows("documents") == []
