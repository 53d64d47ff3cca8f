"""The requests and answers of this service."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request, UtcTime

DOCUMENT_ID = "0c9d8e7f-6a5b-4c3d-9e2f-1a0b9c8d7e6f"


class DocumentForm(Request):
    """The fields beside the file."""

    example: ClassVar = {"catalog_course_id": "7d6c5b4a-3f2e-4d1c-8b0a-9f8e7d6c5b4a", "filename": "Photosynthesis.pdf"}

    catalog_course_id: UUID = Field(description="A course of the catalogue.")
    filename: str | None = Field(default=None, max_length=1000, description="A name to show instead of the file's own.")


class Document(Answer):
    """A document as its owner sees it, also over REST."""

    example: ClassVar = {
        "id": DOCUMENT_ID,
        "owner_id": "5f4e3d2c-1b0a-4f9e-8d7c-6b5a4f3e2d1c",
        "catalog_course_id": "7d6c5b4a-3f2e-4d1c-8b0a-9f8e7d6c5b4a",
        "filename": "Photosynthesis.pdf",
        "storage_key": f"documents/{DOCUMENT_ID}.pdf",
        "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "mime_type": "application/pdf",
        "size_bytes": 482113,
        "page_count": None,
        "description": None,
        "language": None,
        "text_chars": None,
        "status": "uploaded",
        "ingest_status": "pending",
        "ingest_error": None,
        "created_at": "2026-03-02T09:30:00Z",
        "updated_at": "2026-03-02T09:30:00Z",
    }

    id: UUID
    owner_id: UUID
    catalog_course_id: UUID
    filename: str
    storage_key: str
    checksum: str
    mime_type: str
    size_bytes: int
    page_count: int | None
    description: str | None
    language: str | None
    text_chars: int | None
    status: Literal["uploaded", "failed"]
    ingest_status: Literal["pending", "ready", "failed", "none"]
    ingest_error: str | None
    created_at: UtcTime
    updated_at: UtcTime


class DocumentFile(Answer):
    """Where the file can be read, until when."""

    example: ClassVar = {
        "url": f"https://project.example/storage/v1/object/sign/documents/{DOCUMENT_ID}.pdf?token=...",
        "filename": "Photosynthesis.pdf",
        "expires_at": "2026-03-02T09:35:00Z",
    }

    url: str
    filename: str
    expires_at: UtcTime


def document(row: dict[str, Any]) -> Document:
    """From a row of documents, which may have columns that this version does not know."""
    return Document(**{name: row[name] for name in Document.model_fields})
