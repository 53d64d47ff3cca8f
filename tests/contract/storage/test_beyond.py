"""What the recordings do not tell: rights by every kind of policy, hostile requests, races, memory, left-overs."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from scripts.native.paths import REPO
from scripts.native.postgres import free_port
from scripts.native.processes import Part
from scripts.native.stack import Stack
from tests.contract.storage.replay import Target
from tests.support.waiting import listens, wait_until

MEBIBYTE = 1024 * 1024
PLAIN = {"content-type": "text/plain"}
FORM = {"content-type": "multipart/form-data; boundary=b"}


class Storage:
    """Storage by its gateway, as whoever is named; ``bucket`` is new for each test."""

    def __init__(self, target: Target, stack: Stack) -> None:
        self.target, self.stack = target, stack
        self.http = httpx.Client(base_url=target.base, timeout=30)
        self.made: list[str] = []

    def ask(self, who: str, do: str, **more: Any) -> httpx.Response:
        """One request (``do`` is "METHOD /path") as this person, or with this token."""
        method, path = do.split(" ", 1)
        tokens = self.target.tokens
        headers = {"apikey": tokens["service" if who == "service" else "anon"]}
        headers["Authorization"] = f"Bearer {tokens.get(who, who)}"
        return self.http.request(method, path, headers=headers | more.pop("headers", {}), **more)

    def bucket(self, kind: str, **settings: Any) -> str:
        """A new bucket whose policies are told by its kind."""
        name = f"ct-{kind}-{secrets.token_hex(4)}"
        answer = self.ask("service", "POST /bucket", json={"name": name, **settings})
        assert answer.status_code == 200, answer.text
        self.made.append(name)
        return name

    def put(self, who: str, path: str, content: Any = b"hello", **headers: str) -> httpx.Response:
        """An upload."""
        return self.ask(who, f"POST /object/{path}", content=content, headers=PLAIN | headers)

    @property
    def part(self) -> Part:
        """The stand-in's process."""
        return next(part for part in self.stack.parts if part.name == "storage")

    @property
    def folder(self) -> Path:
        """Where it keeps its files."""
        return Path(self.part.environment["STORAGE_FILE_BACKEND_PATH"])

    def files(self) -> set[str]:
        """The names of its finished files."""
        return {file.name for file in (self.folder / "files").iterdir()}


@pytest.fixture
def storage(stack: Stack, targets: list[Target]) -> Iterator[Storage]:
    """The gateway's Storage; what a test leaves is removed."""
    made = Storage(targets[1], stack)
    yield made
    for bucket in made.made:
        made.ask("service", f"POST /bucket/{bucket}/empty")
        made.ask("service", f"DELETE /bucket/{bucket}")
    made.http.close()
    assert not list((made.folder / "partial").iterdir()), "nothing half-written stays"


def code(answer: httpx.Response) -> str:
    return str(answer.json().get("code", "")) if answer.is_error else ""


# ---- rights ---------------------------------------------------------------------------------------------------


def test_a_policy_may_ask_what_an_upload_says_of_itself(storage: Storage) -> None:
    bucket = storage.bucket("kind")
    about = {"x-metadata": "eyJjb3Vyc2UiOiAiYzEifQ=="}  # {"course": "c1"}
    pdf = {"content-type": "application/pdf"}
    refused = [
        ("a.txt", b"x", pdf | about),
        ("a.pdf", b"x", PLAIN | about),
        ("a.pdf", b"x", pdf),
        ("a.pdf", b"x" * 1001, pdf | about),
    ]
    for name, content, headers in refused:
        assert code(storage.put("ana", f"{bucket}/{name}", content, **headers)) == "AccessDenied", (name, headers)
    assert storage.put("ana", f"{bucket}/a.pdf", b"x" * 1000, **pdf, **about).status_code == 200
    form = {"files": {"file": ("a.pdf", b"x" * 500, "application/pdf")}, "data": {"metadata": '{"course": "c1"}'}}
    assert storage.ask("ana", f"POST /object/{bucket}/form.pdf", **form).status_code == 200


def test_a_policy_may_ask_who_owns_it(storage: Storage) -> None:
    bucket = storage.bucket("mine")
    assert storage.put("ana", f"{bucket}/a").status_code == 200
    assert storage.ask("ana", f"GET /object/{bucket}/a").text == "hello"
    for do in (f"GET /object/{bucket}/a", f"GET /object/info/{bucket}/a", f"POST /object/sign/{bucket}/a"):
        assert code(storage.ask("ben", do, json={"expiresIn": 60} if "POST" in do else None)) == "NoSuchKey", do
    ticket = storage.ask("ana", f"POST /object/upload/sign/{bucket}/b").json()["url"]
    assert storage.http.put(ticket, content=b"later", headers=PLAIN).status_code == 200
    assert storage.ask("ana", f"GET /object/{bucket}/b").text == "later", "the owner is who asked for the URL"
    move = {"bucketId": bucket, "sourceKey": "a", "destinationKey": "c"}
    assert code(storage.ask("ben", "POST /object/move", json=move)) == "NoSuchKey"
    assert storage.ask("ana", "POST /object/move", json=move).status_code == 200
    assert storage.ask("ana", f"DELETE /object/{bucket}", json={"prefixes": ["b", "c"]}).json()[0]["owner"]


def test_a_policy_may_ask_for_the_operation(storage: Storage) -> None:
    bucket = storage.bucket("only")
    storage.put("service", f"{bucket}/a")
    listed = storage.ask("ana", f"POST /object/list/{bucket}", json={"prefix": ""}).json()
    assert [row["name"] for row in listed] == ["a"]
    pages = storage.ask("ana", f"POST /object/list-v2/{bucket}", json={}).json()
    assert [row["name"] for row in pages["objects"]] == ["a"]
    for do in ("GET /object", "GET /object/authenticated", "GET /object/info", "HEAD /object"):
        assert storage.ask("ana", f"{do}/{bucket}/a").status_code == 400, do


def test_changing_without_seeing_is_nothing(storage: Storage) -> None:
    bucket = storage.bucket("blind")
    storage.put("service", f"{bucket}/a")
    move = {"bucketId": bucket, "sourceKey": "a", "destinationKey": "b"}
    assert code(storage.ask("ana", "POST /object/move", json=move)) == "NoSuchKey"
    assert storage.ask("ana", f"DELETE /object/{bucket}", json={"prefixes": ["a"]}).json() == []
    assert code(storage.ask("ana", f"DELETE /object/{bucket}/a")) == "AccessDenied"
    assert code(storage.put("ana", f"{bucket}/a", **{"x-upsert": "true"})) == "AccessDenied"


def test_a_visitor_with_rights(storage: Storage) -> None:
    bucket = storage.bucket("anon")
    assert storage.put("anon", f"{bucket}/a").status_code == 200
    assert storage.ask("anon", f"GET /object/{bucket}/a").text == "hello"
    assert code(storage.http.get(f"/object/{bucket}/a")) == "NoSuchBucket", "without a key there is no visitor"
    assert code(storage.ask("ana", f"GET /object/{bucket}/a")) == "NoSuchKey", "the policy names the role anon"


def test_tokens_that_are_not_good_enough(storage: Storage) -> None:
    bucket, keys, now = storage.bucket("own"), storage.stack.keys, int(time.time())
    storage.put("service", f"{bucket}/a")
    signed = storage.ask("service", f"POST /object/sign/{bucket}/a", json={"expiresIn": 60}).json()["signedURL"]
    for token in (
        keys.sign({"role": "service_role", "exp": now - 1}),
        keys.sign({"role": "no_such_role", "exp": now + 60}),
        keys.sign({"role": "postgres", "exp": now + 60}),
        signed.partition("token=")[2],
        "none",
    ):
        answer = storage.ask(token, "GET /bucket")
        assert (answer.status_code, code(answer)) == (400, "AccessDenied"), token
    for role, seen in (("app_admin", 0), ("service_role", 1), (None, 0)):
        token = keys.sign({"role": role, "sub": str(uuid.uuid4()), "exp": now + 60})
        assert len(storage.ask(token, f"GET /bucket?search={bucket}").json()) == seen, role


# ---- hostile requests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x", "..%2Fx", "%2e%2e/x", "a/%2e%2e/%2e%2e/x", "a/..", "%2Fabsolute%2Fx", "/absolute/x", "a%00b", "x" * 2500],
)
def test_no_name_leads_out_of_the_folder(storage: Storage, name: str) -> None:
    bucket = storage.bucket("none")
    url = urlsplit(storage.target.base)
    head = f"POST {url.path}/object/{bucket}/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n"
    key = storage.target.tokens["service"]
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as line:
        line.sendall(f"{head}apikey: {key}\r\nAuthorization: Bearer {key}\r\nContent-Type: a/b\r\n\r\nx".encode())
        status = line.makefile("rb").readline()
    assert status.split()[1] in (b"200", b"400")
    assert all(uuid.UUID(file) for file in storage.files())
    assert {file.name for file in storage.folder.iterdir()} == {"files", "partial"}


def test_a_row_written_past_storage_leads_nowhere(storage: Storage, db_url: str, tmp_path: Path) -> None:
    outside, bucket = tmp_path / "outside.txt", storage.bucket("none")
    outside.write_text("not of Storage")
    climbing = os.path.relpath(outside, storage.folder / "files")
    versions = {"absolute": str(outside), "climbing": climbing, "none": None, "unknown": str(uuid.uuid4())}
    with psycopg.connect(db_url, autocommit=True) as db:
        for name, version in versions.items():
            insert = "insert into storage.objects (bucket_id, name, version) values (%s, %s, %s)"
            db.execute(insert, (bucket, name, version))
    for name in versions:
        assert code(storage.ask("service", f"GET /object/{bucket}/{name}")) == "NoSuchKey"
    assert storage.ask("service", f"POST /bucket/{bucket}/empty").status_code == 200
    assert outside.read_text() == "not of Storage", "it is not deleted either"


@pytest.mark.parametrize(
    ("do", "body"),
    [
        ("POST /object/list/any", b'{"prefix": "a\\u0000b"}'),
        ("POST /object/list/any", b'{"prefix": "\\ud800"}'),
        ("POST /object/list/any", b'{"prefix": "", "offset": 2147483648}'),
        ("POST /object/list/any", b'{"prefix": "", "limit": NaN}'),
        ("POST /object/list/any", b"[" * 100_000),
        ("POST /object/list/any", b'{"prefix": "", "sortBy": {"column": "name; drop table storage.objects"}}'),
        ("POST /object/list-v2/any", b'{"limit": 1001}'),
        ("POST /object/sign/any/a", b'{"expiresIn": 1e400}'),
        ("POST /object/move", b'{"bucketId": "a", "sourceKey": "a", "destinationKey": "' + b"k" * 5000 + b'"}'),
        ("DELETE /object/any", b'{"prefixes": [1, null]}'),
        ("POST /bucket", b'{"name": "..", "id": "x"}'),
        ("POST /bucket", b'{"name": "x", "id": "../x"}'),
        ("POST /bucket", b'{"name": "x", "file_size_limit": "1e3MB"}'),
        ("POST /object/copy", b"x" * (2 * MEBIBYTE)),
    ],
)
def test_odd_bodies_are_the_callers_fault(storage: Storage, do: str, body: bytes) -> None:
    answer = storage.ask("service", do, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"statusCode", "error", "message", "code"}


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"content-type": "multipart/form-data"}, b"x"),
        (FORM, b"no boundary anywhere"),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="f"; f'),
        (
            FORM,
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n",
        ),
        ({"content-type": "text/plain", "x-metadata": "eyJhIjogIlx1MDAwMCJ9"}, b"x"),  # {"a": "\\u0000"}
    ],
)
def test_odd_uploads_are_the_callers_fault(storage: Storage, headers: dict[str, str], content: bytes) -> None:
    bucket = storage.bucket("none")
    before = storage.files()
    answer = storage.ask("service", f"POST /object/{bucket}/a", content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert storage.files() == before


def test_no_stored_text_becomes_a_header_of_its_own(storage: Storage) -> None:
    bucket = storage.bucket("none")
    for field, value in (("cacheControl", "1\r\nX-Evil: 1"), ("contentType", "text/plain\r\nX-Evil: 1")):
        form = {"files": {"file": ("a", b"x", "text/plain")}, "data": {field: value}}
        assert storage.ask("service", f"POST /object/{bucket}/a", **form).status_code == 400, field


def test_a_body_in_chunks_does_not_pass_over_the_limit(storage: Storage) -> None:
    bucket = storage.bucket("none", file_size_limit=1000)
    before = storage.files()
    answer = storage.put("service", f"{bucket}/a", (b"x" * 100 for _ in range(11)))
    assert code(answer) == "EntityTooLarge"
    assert storage.files() == before
    assert storage.put("service", f"{bucket}/a", (b"x" * 100 for _ in range(10))).status_code == 200


# ---- bytes ----------------------------------------------------------------------------------------------------


def test_large_files_pass_through_and_are_never_whole_in_memory(storage: Storage) -> None:
    bucket, size = storage.bucket("none"), 50 * MEBIBYTE
    assert storage.part.process is not None
    process = psutil.Process(storage.part.process.pid)
    storage.put("service", f"{bucket}/warm")
    before = process.memory_info().rss
    block = os.urandom(MEBIBYTE)
    assert storage.put("service", f"{bucket}/large", (block for _ in range(50))).status_code == 200
    assert code(storage.put("service", f"{bucket}/larger", (block for _ in range(51)))) == "EntityTooLarge"
    with storage.http.stream("GET", f"/object/{bucket}/large", headers=service(storage)) as answer:
        assert sum(len(piece) for piece in answer.iter_bytes()) == size
    assert process.memory_info().rss - before < 16 * MEBIBYTE


def service(storage: Storage) -> dict[str, str]:
    key = storage.target.tokens["service"]
    return {"apikey": key, "Authorization": f"Bearer {key}"}


def test_a_body_that_breaks_off_leaves_nothing(storage: Storage) -> None:
    bucket, before = storage.bucket("none"), storage.files()
    url = urlsplit(storage.stack.storage_url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as line:
        head = f"POST /object/{bucket}/a HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: 100000\r\n"
        line.sendall(f"{head}Authorization: Bearer {storage.stack.service_token}\r\n\r\n".encode() + b"x" * 50_000)
        wait_until(lambda: list((storage.folder / "partial").iterdir()))
    wait_until(lambda: not list((storage.folder / "partial").iterdir()))
    assert storage.files() == before
    assert code(storage.ask("service", f"GET /object/info/{bucket}/a")) == "NoSuchKey"


def test_two_uploads_of_one_name_at_once_are_one_file(storage: Storage) -> None:
    bucket, before, all_in = storage.bucket("add"), storage.files(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"all are let in"
        wait_until(lambda: all_in.is_set() or len(list((storage.folder / "partial").iterdir())) == 8)
        all_in.set()
        yield b" before any is written"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda who: storage.put(who, f"{bucket}/a", body()), ["ana", "ben"] * 4))
    assert sorted(map(code, answers)) == [""] + ["KeyAlreadyExists"] * 7
    assert len(storage.files() - before) == 1


def test_replaced_and_removed_files_go(storage: Storage) -> None:
    bucket, before = storage.bucket("keep"), storage.files()
    for content in (b"one", b"two", b"three"):
        assert storage.put("ana", f"{bucket}/a", content, **{"x-upsert": "true"}).status_code == 200
    copy = {"bucketId": bucket, "sourceKey": "a", "destinationKey": "b"}
    assert storage.ask("ana", "POST /object/copy", json=copy).status_code == 200
    assert len(storage.files() - before) == 2
    storage.put("ana", f"{bucket}/a", b"four", **{"x-upsert": "true"})
    assert storage.ask("ana", f"GET /object/{bucket}/b").text == "three", "a copy does not follow its original"
    storage.ask("service", f"DELETE /object/{bucket}", json={"prefixes": ["a", "b"]})
    assert storage.files() == before


def test_a_start_sweeps_what_a_killed_run_left(storage: Storage, tmp_path: Path) -> None:
    bucket = storage.bucket("none")
    before = storage.files()
    storage.put("service", f"{bucket}/a")
    (kept,) = storage.files() - before
    for file in (f"files/{kept}", f"files/{uuid.uuid4()}", f"partial/{uuid.uuid4()}"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"hello")
    port = free_port()
    environment = {
        **storage.part.environment,
        "STORAGE_FILE_BACKEND_PATH": str(tmp_path),
        "SERVER_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "tests.standins.storage"], env=environment, cwd=REPO)
    try:
        wait_until(lambda: listens(port))
        assert [file.name for file in (tmp_path / "files").iterdir()] == [kept]
        assert list((tmp_path / "partial").iterdir()) == []
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_file_is_read_to_its_end_while_it_is_replaced(storage: Storage) -> None:
    bucket = storage.bucket("none")
    storage.put("service", f"{bucket}/a", b"1" * (8 * MEBIBYTE))
    with storage.http.stream("GET", f"/object/{bucket}/a", headers=service(storage)) as answer:
        pieces = answer.iter_bytes()
        first = next(pieces)
        assert storage.put("service", f"{bucket}/a", b"2", **{"x-upsert": "true"}).status_code == 200
        assert set(first + b"".join(pieces)) == set(b"1")


# ---- the gateway's part ---------------------------------------------------------------------------------------


def test_the_gateway_logs_no_signed_token(storage: Storage) -> None:
    bucket = storage.bucket("none")
    storage.put("service", f"{bucket}/a")
    url = storage.ask("service", f"POST /object/sign/{bucket}/a", json={"expiresIn": 60}).json()["signedURL"]
    assert storage.http.get(url).text == "hello"
    for log in storage.stack.log_dir.glob("*.log"):
        assert url.partition("token=")[2] not in log.read_text(errors="replace"), log.name


def test_browsers_of_any_origin_may_call(storage: Storage) -> None:
    asked = {"Origin": "http://127.0.0.1:3000", "Access-Control-Request-Method": "POST"}
    assert storage.http.options("/object/documents/a", headers=asked).status_code == 204
    answer = storage.ask("anon", "GET /bucket", headers={"Origin": "http://127.0.0.1:3000"})
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:3000"


def test_an_unknown_key_is_refused(storage: Storage) -> None:
    answer = storage.http.get("/bucket", headers={"apikey": "sb_publishable_other"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")


def test_the_log_of_storage_tells_of_no_fault(storage: Storage) -> None:
    """Last in this file on purpose: whatever the tests before asked, nothing was unforeseen."""
    log = storage.part.log.read_text()
    assert not re.search(r"Traceback|Error handling request|Unclosed", log), log[-3000:]
    assert json.dumps(log).count("storage: stand-in on") == 1
