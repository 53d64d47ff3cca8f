"""Uploads: one file and known fields, streamed and hashed; everything else is refused in the one error shape."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from apiflask import APIBlueprint
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from functions.shared.settings import Settings
from functions.shared.web.application import create_application
from functions.shared.web.operations import Access, operation
from functions.shared.web.schemas import Request
from functions.shared.web.uploads import received
from tests.support.clocks import HeldClock

MIB = 1024 * 1024
PATH = "/functions/v1/shelf/files"
FORM = "multipart/form-data; boundary=b"


class Label(Request):
    """The fields beside the file."""

    colour: str
    note: str | None = None


def blueprint() -> APIBlueprint:
    """A route that tells what it received."""
    routes = APIBlueprint("shelf", __name__)

    @routes.post("/files")
    @operation("Open to all", access=Access.PUBLIC, max_body_bytes=3 * MIB, form=Label)
    def put() -> dict[str, Any]:
        with received(Label, max_bytes=2 * MIB) as upload:
            content = upload.file.read()
            return {
                "size": upload.size,
                "is_hash_of_content": upload.sha256 == hashlib.sha256(content).hexdigest(),
                "is_whole": len(content) == upload.size,
                "filename": upload.filename,
                **upload.fields.model_dump(),
            }

    return routes


@pytest.fixture
def client(settings: Settings, clock: HeldClock) -> FlaskClient:
    return create_application([("shelf", blueprint())], settings, clock).test_client()


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    """One part of a form."""
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


FILE, COLOUR, END = part("file", b"hello", "a.txt"), part("colour", b"red"), b"--b--\r\n"


@pytest.mark.parametrize("body", [FILE + COLOUR + END, COLOUR + FILE + END])
def test_a_file_and_its_fields_in_any_order(client: FlaskClient, body: bytes) -> None:
    answer = client.post(PATH, data=body, content_type=FORM)
    assert answer.json == {
        "size": 5,
        "is_hash_of_content": True,
        "is_whole": True,
        "filename": "a.txt",
        "colour": "red",
        "note": None,
    }


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 2 * MIB])
@pytest.mark.parametrize("pattern", [b"x", b"\r\n", b"\r\n--", b"--b-\r\n"])
def test_bytes_pass_unchanged(client: FlaskClient, size: int, pattern: bytes) -> None:
    content = (pattern * (size // len(pattern) + 1))[:size]
    answer = client.post(PATH, data=part("file", content, "a") + COLOUR + END, content_type=FORM)
    assert answer.json is not None
    assert (answer.json["size"], answer.json["is_hash_of_content"], answer.json["is_whole"]) == (size, True, True)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b"", [{"path": "file", "code": "missing"}]),
        (COLOUR + END, [{"path": "file", "code": "missing"}]),
        (FILE + END, [{"path": "colour", "code": "missing"}]),
        (FILE + FILE + COLOUR + END, [{"path": "file", "code": "given_twice"}]),
        (FILE + COLOUR + COLOUR + END, [{"path": "colour", "code": "given_twice"}]),
        (FILE + COLOUR + part("size", b"1") + END, [{"path": "size", "code": "extra_forbidden"}]),
        (FILE + COLOUR + part("other", b"1", "b") + END, [{"path": "other", "code": "extra_forbidden"}]),
        (COLOUR + part("file", b"1") + END, [{"path": "file", "code": "file_expected"}]),
        (FILE + part("colour", b"\xff") + END, [{"path": "colour", "code": "string_unicode"}]),
        (FILE + part("colour", b"a\0b") + END, [{"path": "colour", "code": "string_nul"}]),
    ],
)
def test_parts_that_do_not_belong_are_named(client: FlaskClient, body: bytes, details: Any) -> None:
    answer = client.post(PATH, data=body, content_type=FORM)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"], answer.json["details"]) == (422, "validation_failed", details)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (FILE, "multipart/form-data", 415, "unsupported_media_type"),
        (FILE, "multipart/mixed; boundary=b", 415, "unsupported_media_type"),
        (FILE + COLOUR, FORM, 400, "bad_request"),
        (FILE[:-10], FORM, 400, "bad_request"),
        (b"no form at all", FORM, 400, "bad_request"),
        (part("file", b"x" * (2 * MIB + 1), "a") + COLOUR + END, FORM, 413, "payload_too_large"),
        (part("colour", b"x" * 20_000) + FILE + END, FORM, 413, "payload_too_large"),
        (b"".join(part(f"f{number}", b"") for number in range(30)) + END, FORM, 413, "payload_too_large"),
        # the headers of a part never end
        (b"--b\r\nContent-Disposition: " + b"x" * (2 * MIB), FORM, 413, "payload_too_large"),
        (b"x" * (3 * MIB + 1), FORM, 413, "payload_too_large"),
    ],
)
def test_what_is_no_upload_is_refused(
    client: FlaskClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = client.post(PATH, data=body, content_type=content_type)
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)


@given(
    pieces=st.lists(st.sampled_from([FILE, COLOUR, END, b"--b", b"\r\n", b"\r\n\r\n", b"--", b"\0", b"x"]), max_size=8)
)
@effort(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_a_fault_of_ours(client: FlaskClient, pieces: list[bytes]) -> None:
    assert client.post(PATH, data=b"".join(pieces), content_type=FORM).status_code in (200, 400, 413, 422)
