"""Documents in tests: files of every kind, uploads, and the job's handler in this or another process."""

from __future__ import annotations

import io
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import psycopg
import pypdf
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject

from functions.documents.cleanup import clean_storage
from functions.documents.ingest import ingest
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.http import Http
from functions.shared.jobs import Job, JobContext
from functions.shared.settings import load_settings
from scripts.native.stack import Stack
from tests.support import rows
from tests.support.canvas import Student
from tests.support.clocks import SkippingClock

LONG_AGO = "2026-01-01T00:00:00+00:00"


def shown(line: str) -> str:
    """The operator that shows a line of text."""
    escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"({escaped}) Tj"


def pdf(pages: Sequence[str], password: str | None = None, show: Callable[[str], str] = shown) -> bytes:
    """A PDF with a text on each page; lines are separated by line feeds."""
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    reference = writer._add_object(font)
    for text in pages:
        page = writer.add_blank_page(595, 842)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): reference})}
        )
        stream = DecodedStreamObject()
        lines = " T* ".join(show(line) for line in text.split("\n"))
        stream.set_data(f"BT /F1 11 Tf 14 TL 50 790 Td {lines} ET".encode("latin-1") if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def image_pdf() -> bytes:
    """A PDF of one page that is a picture, as a scanner makes it."""
    reader = pypdf.PdfReader(io.BytesIO(pdf([""])))
    writer = pypdf.PdfWriter(clone_from=reader)
    image = DecodedStreamObject()
    image.set_data(bytes(range(256)) * 3)
    image.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Image"),
            NameObject("/Width"): NumberObject(16),
            NameObject("/Height"): NumberObject(16),
            NameObject("/ColorSpace"): NameObject("/DeviceRGB"),
            NameObject("/BitsPerComponent"): NumberObject(8),
        }
    )
    page = writer.pages[0]
    page[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/XObject"): DictionaryObject({NameObject("/I"): writer._add_object(image)})}
    )
    stream = DecodedStreamObject()
    stream.set_data(b"q 500 0 0 700 40 70 cm /I Do Q")
    page[NameObject("/Contents")] = writer._add_object(stream)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def course(stack: Stack) -> str:
    """A course of the catalogue."""
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        return str(rows.catalog_course(db))


def upload(person: Student, course_id: str, content: bytes, name: str = "notes.pdf", **fields: Any) -> httpx.Response:
    """POSTs a file."""
    headers = fields.pop("headers", {})
    data = {"catalog_course_id": course_id, **fields}
    return person.functions.post("/documents", files={"file": (name, content)}, data=data, headers=headers)


def stored(person: Student, course_id: str, content: bytes, name: str = "notes.pdf") -> dict[str, Any]:
    """The row of a new document."""
    answer = upload(person, course_id, content, name)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def handled(
    environment: Mapping[str, str], type: str, payload: Mapping[str, Any], user_id: str | None, retry_count: int = 0
) -> dict[str, Any]:
    """Runs the handler of a job once; its result.

    :raise JobFailure: as the handler does
    """
    settings, clock = load_settings(environment), SkippingClock()
    database, http = Database(settings), Http.of(settings)
    job = Job(str(uuid.uuid4()), type, user_id, None, dict(payload), retry_count, 3, 600, "", LONG_AGO, 0)
    context = JobContext(
        job=job,
        settings=settings,
        database=database,
        http=http,
        crypto=Envelope(settings.encryption_keys),
        clock=clock,
        deadline=clock.monotonic() + job.timeout_s,
        on_progress=lambda _: None,
        on_check=lambda: None,
    )
    handler = {"document_ingest": ingest, "storage_cleanup": clean_storage}[type]
    try:
        return dict(handler(context))
    finally:
        database.close()
        http.close()


def read(environment: Mapping[str, str], row: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Runs the job that reads a document."""
    return handled(environment, "document_ingest", {"document_id": row["id"]}, str(row["owner_id"]), **options)


if __name__ == "__main__":
    # ``python -m tests.support.documents DOCUMENT OWNER``: in a process of its own, to be killed by a test
    read(os.environ, {"id": sys.argv[1], "owner_id": sys.argv[2]})
