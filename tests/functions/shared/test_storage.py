"""Files in Storage: streamed, signed, deleted; and what Storage's refusals and faults become."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.shared.errors import Internal, PayloadTooLarge, Unavailable
from functions.shared.settings import Settings, load_settings
from functions.shared.storage import ObjectMissing, Storage
from scripts.native.stack import Stack
from tests.functions.shared.conftest import Handler, Loopback, hang_up, reply
from tests.standins.canvas import PLAIN


@pytest.fixture
def storage(stack: Stack) -> Iterator[Storage]:
    with Storage(load_settings(stack.service_environment())) as found:
        yield found


@pytest.fixture
def key() -> str:
    return f"{uuid.uuid4()}.txt"


def test_a_file_comes_back_as_it_went(storage: Storage, key: str, tmp_path: Path) -> None:
    first, second, back = tmp_path / "first", tmp_path / "second", tmp_path / "back"
    first.write_bytes(bytes(range(256)) * 1000)
    second.write_bytes(b"shorter")
    storage.upload("documents", key, first, "text/plain")
    assert storage.download("documents", key, back) == 256_000
    assert back.read_bytes() == first.read_bytes()
    with second.open("rb") as file:
        file.read(3)
        storage.upload("documents", key, file, "text/plain")
    storage.download("documents", key, back)
    assert back.read_bytes() == b"shorter", "the whole file, in place of the one before"
    with pytest.raises(PayloadTooLarge):
        storage.download("documents", key, back, max_bytes=6)
    assert storage.download("documents", key, back, max_bytes=7) == 7


def test_a_signed_address_opens_without_any_key(stack: Stack, storage: Storage, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hello")
    storage.upload("documents", key, file, "text/plain")
    address = storage.signed_url("documents", key, 300)
    assert address.startswith(f"{stack.url}/storage/v1/object/sign/documents/{key}?token=")
    shown = httpx.get(address, verify=PLAIN)
    assert (shown.status_code, shown.text) == (200, "hello")
    assert "content-disposition" not in shown.headers
    saved = httpx.get(storage.signed_url("documents", key, 300, "Übung & Lösung.txt"), verify=PLAIN)
    assert saved.headers["content-disposition"].startswith("attachment")
    assert "%C3%9Cbung%20%26%20L%C3%B6sung.txt" in saved.headers["content-disposition"]


def test_what_is_missing_is_named_and_deleting_it_again_is_no_error(storage: Storage, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hello")
    storage.upload("documents", key, file, "text/plain")
    storage.remove("documents", [key, f"{uuid.uuid4()}.txt"])
    storage.remove("documents", [key])
    storage.remove("documents", [])
    with pytest.raises(ObjectMissing):
        storage.download("documents", key, tmp_path / "back")
    with pytest.raises(ObjectMissing):
        storage.signed_url("documents", key, 300)


def test_many_files_are_deleted_in_batches(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    keys = [f"{uuid.uuid4()}.txt" for _ in range(3)]
    for key in keys:
        storage.upload("documents", key, file, "text/plain")
    storage.remove("documents", keys[:1] + [f"{uuid.uuid4()}.txt" for _ in range(150)] + keys[1:])
    for key in keys:
        with pytest.raises(ObjectMissing):
            storage.signed_url("documents", key, 300)


def refuse(status: int, **body: Any) -> Handler:
    """Answers as Storage refuses."""
    return lambda handler: reply(handler, status, json.dumps(body).encode())


def break_off(handler: BaseHTTPRequestHandler) -> None:
    """Half an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.wfile.flush()
    hang_up(handler)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refuse(400, statusCode="404", error="not_found", code="NoSuchKey"), ObjectMissing),
        (refuse(400, statusCode="413", error="Payload too large", code="EntityTooLarge"), PayloadTooLarge),
        (refuse(400, statusCode="403", error="Unauthorized", code="AccessDenied"), Internal),
        (refuse(400, statusCode="404", error="Bucket not found", code="NoSuchBucket"), Internal),
        (refuse(500, statusCode="500", code="DatabaseTimeout"), Unavailable),
        (refuse(400, statusCode="429", code="SlowDown"), Unavailable),
        (lambda handler: reply(handler, 502, b"<html>bad gateway</html>", "text/html"), Unavailable),
        (lambda handler: reply(handler, 400, b"[]"), Internal),
        (break_off, Unavailable),
        (hang_up, Unavailable),
    ],
)
def test_refusals_and_faults(
    settings: Settings,
    loopback: Callable[[Handler], Loopback],
    tmp_path: Path,
    answer: Handler,
    expected: type[Exception],
) -> None:
    faulty = load_settings(
        {
            "APP_ENV": "local",
            "SUPABASE_URL": loopback(answer).url,
            "SUPABASE_PUBLISHABLE_KEY": settings.supabase_publishable_key,
            "SUPABASE_SECRET_KEY": settings.supabase_secret_key,
            "ENCRYPTION_KEYS": "1:" + "A" * 43,
        }
    )
    with Storage(faulty) as storage, pytest.raises(expected):
        storage.download("documents", "x.txt", tmp_path / "back")


def test_a_file_that_takes_too_long_is_given_up(storage: Storage, key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000)
    with pytest.raises(Unavailable):
        storage.upload("documents", key, file, "text/plain", seconds=-1)
    storage.upload("documents", key, file, "text/plain")
    with pytest.raises(Unavailable):
        storage.download("documents", key, tmp_path / "back", seconds=-1)
