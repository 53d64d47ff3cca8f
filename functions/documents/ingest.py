"""The handler of ``document_ingest`` jobs: text, pages, language, fragments for the search, and a description.

It may run twice, and its worker may be killed at any line. It reads the stored file anew each time, replaces the
fragments in one transaction, and writes the row last, so a job that runs again only repeats. A document that was
deleted meanwhile ends the job quietly: its fragments went with the row, and they cannot be written without it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from functions.documents import reading
from functions.documents.describing import describe
from functions.shared.children import ChildError, ChildOutOfMemory, run_in_child
from functions.shared.chunks import Chunk, chunk_markdown, chunk_pages, clean, detect_language, replace_chunks
from functions.shared.database import run
from functions.shared.errors import AppError, NotFound, Unavailable
from functions.shared.files import PDF
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.storage import ObjectMissing, Storage

log = structlog.get_logger(__name__)

MAX_PAGES = 2000
MAX_CHARACTERS = 6_000_000  # 2 000 pages of 3 000
READ_SECONDS = 120.0
READ_MEMORY_BYTES = 1024**3
INTERRUPTED = "ingest_interrupted"
COLUMNS = "id,owner_id,storage_key,mime_type,status,ingest_status,description"


class Gone(Exception):
    """The document was deleted, or lost its file."""


def ingest(context: JobContext) -> Mapping[str, Any]:
    """Reads one document. The job's result says how it ended; a file that cannot be read is no failure of the job.

    :raise JobFailure: a part does not answer; after the last attempt the row says ``ingest_interrupted``
    """
    document_id = str(context.job.payload["document_id"])
    try:
        return _ingest(context, document_id)
    except Gone:
        return {"document_id": document_id, "ingest_status": "gone"}
    except Unavailable as error:
        if context.job.retry_count >= context.job.max_retries:
            _give_up(context, document_id)
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def _ingest(context: JobContext, document_id: str) -> Mapping[str, Any]:
    service = context.database.service()
    query = service.from_("documents").select(COLUMNS).eq("id", document_id).eq("owner_id", context.job.user_id)
    rows = run(query.limit(1))
    if not rows or rows[0]["status"] != "uploaded":
        raise Gone
    row = rows[0]
    found = _read(context, row)
    pages = [clean(page) for page in found["pages"]]
    text = "\n".join(pages).strip()
    failure = found["failure"]
    language = detect_language(text) if text else None
    context.check_cancelled()
    _replace(context, document_id, _chunks(row, pages, language) if text and not failure else [])
    description = row["description"]
    if text and not failure and description is None:
        description = describe(context, text)
    state = "failed" if failure else "ready" if text else "none"
    changes = {
        "page_count": found["page_count"],
        "language": language,
        "text_chars": None if failure else len(text),
        "description": description,
        "ingest_status": state,
        "ingest_error": failure,
    }
    _write(context, document_id, changes)
    return {"document_id": document_id, "ingest_status": state, "ingest_error": failure}


def _read(context: JobContext, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the child process found in the file."""
    bucket, _, key = row["storage_key"].partition("/")
    with tempfile.TemporaryDirectory(prefix="headstart-document-") as folder, Storage(context.settings) as storage:
        path = Path(folder) / "file"
        try:
            storage.download(bucket, key, path)
        except ObjectMissing as error:
            # deleted, or lost; the sweep will tell which
            raise Gone from error
        is_pdf = row["mime_type"] == PDF.mime_type
        function = reading.read_pdf if is_pdf else reading.read_text
        args = [str(path), MAX_PAGES, MAX_CHARACTERS] if is_pdf else [str(path), MAX_CHARACTERS]
        seconds = min(READ_SECONDS, context.remaining_seconds())
        try:
            found = run_in_child(
                function,
                args,
                seconds=seconds,
                max_memory_bytes=READ_MEMORY_BYTES,
                check=context.check_cancelled,
            )
        except ChildError as error:
            log.warning("document_unreadable", document_id=row["id"], error=type(error).__name__, detail=str(error))
            failure = reading.TOO_LONG if isinstance(error, ChildOutOfMemory) else reading.UNREADABLE
            found = {"page_count": None, "pages": [], "failure": failure}
    return dict(found)


def _chunks(row: Mapping[str, Any], pages: list[str], language: str | None) -> list[Chunk]:
    if row["mime_type"] == PDF.mime_type:
        return chunk_pages(pages, language)
    return chunk_markdown(pages[0], language)


def _replace(context: JobContext, document_id: str, chunks: list[Chunk]) -> None:
    try:
        replace_chunks(context.database.service(), "document", document_id, chunks)
    except NotFound as error:
        raise Gone from error


def _write(context: JobContext, document_id: str, changes: Mapping[str, Any]) -> None:
    query = context.database.service().from_("documents").update(dict(changes))
    if not run(query.eq("id", document_id).eq("status", "uploaded")):
        raise Gone


def _give_up(context: JobContext, document_id: str) -> None:
    """No attempt is left. When this fails too, the sweep of stuck rows does the same."""
    query = context.database.service().from_("documents")
    changes = {"ingest_status": "failed", "ingest_error": INTERRUPTED}
    try:
        run(query.update(changes).eq("id", document_id).eq("ingest_status", "pending"))
    except AppError as error:
        log.warning("ingest_not_given_up", document_id=document_id, error_code=error.code)
