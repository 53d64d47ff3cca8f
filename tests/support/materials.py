"""Study materials in SQL: documents, linked lectures, teachers' material, and their fragments."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.support import rows
from tests.support.people import persona

Connection = psycopg.Connection[Any]


def document(db: Connection, owner: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A person's file, in a course of its own unless one is given."""
    given = {
        "owner_id": owner,
        "catalog_course_id": columns.pop("catalog_course_id", None) or rows.catalog_course(db),
        "filename": "notes.pdf",
        "storage_key": f"documents/{uuid.uuid4()}.pdf",
        "checksum": uuid.uuid4().hex * 2,
        "mime_type": "application/pdf",
        "size_bytes": 10,
    }
    return rows.insert(db, "public.documents", given, columns)


def lecture(db: Connection, *people: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A lecture that these people follow."""
    made = rows.lecture(db, **columns)
    for person in people:
        db.execute("insert into public.user_lectures (user_id, lecture_id) values (%s, %s)", (person, made))
    return made


def teacher(db: Connection) -> uuid.UUID:
    """A teacher with an installation of their own."""
    person = persona(db, "teacher")
    given = {"id": person, "lms_connection_id": rows.connection(db), "canvas_user_id": uuid.uuid4().hex}
    return rows.insert(db, "public.teachers", given)


def content_source(db: Connection, owner: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A teacher's text for the assistant."""
    given = {"teacher_id": owner, "kind": "text", "title": "Handout", "text_content": "text"}
    return rows.insert(db, "public.content_sources", given, columns)


def replace_chunks(
    db: Connection, kind: str, source: uuid.UUID, chunks: Sequence[str | dict[str, Any]]
) -> tuple[int, int, int]:
    """Makes these texts (or rows) the fragments of a source: how many were kept, inserted, retired."""
    given = [{"content": chunk} if isinstance(chunk, str) else chunk for chunk in chunks]
    row = db.execute(
        "select kept, inserted, retired from public.svc_replace_chunks(%s, %s, %s)", (kind, source, json.dumps(given))
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]
