"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.documents.errors import CatalogCourseNotFound, DocumentEmpty, DocumentTypeNotSupported
from functions.documents.schemas import Document, DocumentFile, DocumentForm, document
from functions.documents.service import DocumentService, Received
from functions.shared.errors import Conflict
from functions.shared.uploads import Uploaded
from functions.shared.usage import PlanLimitReached
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.idempotency import answer_once, may_answer_once
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.uploads import received

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_BODY_BYTES = 51 * 1024 * 1024

blueprint = APIBlueprint(
    "documents",
    __name__,
    tag={"name": "documents", "description": "Files of a course: stored, read for the search, and given back."},
)


def service() -> DocumentService:
    """The service with the parts of the running application."""
    return DocumentService(context().database, context().storage, context().clock)


@blueprint.post("")
@operation(
    "Upload a document",
    {
        201: Outcome("The document is stored. A job reads its text; `ingest_status` tells how far it is.", Document),
        200: Outcome(
            "You have stored the same bytes in this course before.",
            Document,
            headers={"Deduplicated": "Always `true`."},
        ),
    },
    errors=(
        CatalogCourseNotFound,
        DocumentTypeNotSupported,
        DocumentEmpty,
        PlanLimitReached,
        Conflict,
    ),
    max_body_bytes=MAX_BODY_BYTES,
    form=DocumentForm,
)
@rate_limited("documents-upload", limit=60)
@may_answer_once
def upload() -> Any:
    """Accepts a PDF, or text or Markdown in UTF-8, of up to 50 MiB. The type is told by the file's bytes."""
    with received(DocumentForm, max_bytes=MAX_FILE_BYTES) as found:
        name = found.fields.filename or found.filename
        course_id = str(found.fields.catalog_course_id)
        file = Received(Uploaded(found.file, found.size, found.sha256, name), course_id)

        def store() -> Any:
            stored = service().store(current_caller(), file)
            if stored.created:
                return document(stored.row), 201
            return document(stored.row), 200, {"Deduplicated": "true"}

        return answer_once(lambda: [course_id, name, found.sha256], store)


@blueprint.get("/<uuid:document_id>/file")
@operation("Get the address of a file", {200: Outcome("An address that works for five minutes.", DocumentFile)})
def file(document_id: UUID) -> DocumentFile:
    """Answers an address from which a browser downloads the file under its name, without a token."""
    url, filename, expires_at = service().file(current_caller(), str(document_id))
    return DocumentFile(url=url, filename=filename, expires_at=expires_at)


@blueprint.delete("/<uuid:document_id>")
@operation("Delete a document", {204: Outcome("Its row, its text and its file are gone.")})
def delete(document_id: UUID) -> Response:
    """Deletes one of your own documents."""
    service().delete(current_caller(), str(document_id))
    return Response(status=204)
