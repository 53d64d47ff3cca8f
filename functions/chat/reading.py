"""The handler of ``content_source`` jobs. Payload: ``{"content_source_id": ...}``.

It reads a teacher's text, link, uploaded file, or page or file of Canvas, and writes its fragments for the search, then
its text and state. It may run twice and be killed at any line: fragments are replaced in one transaction, and the state
is written last. A source that cannot be read is no failure of the job: the row says why, and the teacher may have it
read again (``retry_content_source``).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from functions.chat.canvas import opened
from functions.shared.canvas.errors import CanvasError, IntegrationNotConnected
from functions.shared.children import ChildError, ChildOutOfMemory, run_in_child
from functions.shared.chunks import Chunk, chunk_markdown, chunk_pages, clean, replace_chunks
from functions.shared.database import run
from functions.shared.errors import AppError, NotFound, Unavailable
from functions.shared.extraction import HTML, TOO_LONG, UNREADABLE, extract
from functions.shared.fetch import Fetcher, RedirectRefused
from functions.shared.http import AddressRefused, AnswerTooLarge, OutboundError
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.markup.text import visible
from functions.shared.storage import ObjectMissing, Storage

log = structlog.get_logger(__name__)

MAX_BYTES = 10 * 1024 * 1024
FETCH_SECONDS = 20.0
READ_SECONDS = 120.0
READ_MEMORY_BYTES = 1024**3
COLUMNS = "id,teacher_id,kind,status,source_url,storage_key,text_content,checksum,metadata"
KINDS = ("text", "url", "upload", "canvas_page", "canvas_file")
HEADERS = {"Accept": "text/html, application/xhtml+xml, application/pdf, text/plain, text/markdown, */*;q=0.5"}
TO_DO = {
    "source_address_refused": "This address may not be read. Use a public https address.",
    "source_file_lost": "The file is no longer stored. Upload it again.",
    "source_gone": "There is nothing at this address any more. Check it.",
    "source_forbidden": "This page can be read only after signing in. Save it and add its text.",
    "source_unavailable": "This address does not answer. Try again later.",
    "source_too_large": "There is more than 10 MiB at this address. Add a part of it.",
    "source_type_not_supported": "This is no page, text, PDF, DOCX or PPTX. Add its text.",
    "source_encrypted": "This file is protected by a password. Save it without one.",
    "source_unreadable": "This file is damaged. Save it anew.",
    "source_too_long": "This is too long. Add a part of it.",
    "source_locked": "Canvas keeps this file locked. Unlock it there, then try again.",
    "integration_not_connected": "Canvas is not connected. Connect it first.",
    "reauthorization_required": "Canvas no longer accepts your permission. Connect Canvas again.",
    "lms_connection_not_found": "This Canvas installation is switched off. Ask an administrator.",
    "course_forbidden": "Canvas does not show you this. Connect Canvas again, or ask for access there.",
    "course_gone": "Canvas no longer has this. Choose it again.",
    "canvas_unavailable": "Canvas does not answer. Try again later.",
    "canvas_bad_answer": "Canvas sent an answer that cannot be used. Try again later.",
    "source_empty": "There is no text in it. Scanned pages need a text layer.",
    "interrupted": "The material could not be read in time. Try again.",
}


class SourceFailed(Exception):
    """The source cannot be read; the text is a key of ``TO_DO``."""


class Gone(Exception):
    """The source was deleted, or is not waiting to be read."""


def read_source(context: JobContext) -> Mapping[str, Any]:
    """Reads one source. The job's result says how it ended.

    :raise JobFailure: a part of ours does not answer; after the last attempt the row is failed
    """
    source_id = str(context.job.payload["content_source_id"])
    try:
        return SourceJob(context, source_id).work()
    except Gone:
        return {"content_source_id": source_id, "status": "gone"}
    except Unavailable as error:
        if context.job.retry_count >= context.job.max_retries:
            _give_up(context, source_id)
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


def _give_up(context: JobContext, source_id: str) -> None:
    """No attempt is left. When this fails too, the sweep of stuck rows does the same."""
    try:
        SourceJob(context, source_id).fail("interrupted")
    except (AppError, Gone) as error:
        log.warning("source_not_given_up", content_source_id=source_id, error=type(error).__name__)


class SourceJob:
    """One attempt at one source."""

    def __init__(self, context: JobContext, source_id: str) -> None:
        self._context = context
        self._id = source_id
        self._service = context.database.service()

    def work(self) -> Mapping[str, Any]:
        """Takes the source, reads it, and writes what it found."""
        row = self._take()
        try:
            with tempfile.TemporaryDirectory(prefix="headstart-source-") as folder:
                changes = self._changes(row, Path(folder) / "file")
        except SourceFailed as error:
            return self.fail(str(error))
        self._context.check_cancelled()
        self._write("processing", {**changes, "status": "ready", "error_message": None})
        return {"content_source_id": self._id, "status": "ready", "error_code": None}

    def fail(self, code: str) -> Mapping[str, Any]:
        """Ends the source as failed, with a code and what to do."""
        self._write("processing", {"status": "failed", "error_message": f"{code}: {TO_DO[code]}"})
        return {"content_source_id": self._id, "status": "failed", "error_code": code}

    def _take(self) -> dict[str, Any]:
        """The row, which is processing from now on; or was already, when an earlier attempt was killed."""
        query = self._service.from_("content_sources").select(COLUMNS).eq("id", self._id)
        # the job belongs to the teacher, and reads none but theirs
        rows = run(query.eq("teacher_id", self._context.job.user_id).in_("kind", list(KINDS)).limit(1))
        if not rows or rows[0]["status"] not in ("pending", "processing"):
            raise Gone
        if rows[0]["status"] == "pending":
            self._write("pending", {"status": "processing"})
        return dict(rows[0])

    def _changes(self, row: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Reads the source by its kind; the columns that change.

        :param path: where a file may be written
        """
        match row["kind"]:
            case "text":
                return self._typed(row)
            case "upload":
                return self._uploaded(row, path)
            case "canvas_page" | "canvas_file":
                return self._of_canvas(row, path)
            case _:
                return self._fetched(row, path)

    def _typed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A text stays as it was typed."""
        text = row["text_content"] or ""
        if not clean(text).strip():
            raise SourceFailed("source_empty")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if checksum != row["checksum"]:
            self._replace(chunk_markdown(text))
        return {"checksum": checksum}

    def _uploaded(self, row: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """A stored file, which never changes, so that it is read once."""
        if row["text_content"]:
            return {}
        bucket, _, key = row["storage_key"].partition("/")
        with Storage(self._context.settings) as storage:
            try:
                storage.download(bucket, key, path, seconds=max(1.0, self._context.remaining_seconds()))
            except ObjectMissing as error:
                raise SourceFailed("source_file_lost") from error
        return self._read(row, path, key, "", None)

    def _of_canvas(self, row: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """A page or file of Canvas, by the teacher's own grant. The same bytes as before are not read again."""
        known = row["metadata"]
        course_id = int(known["canvas_course_id"])
        try:
            with opened(self._context, known.get("integration_id")) as canvas:
                if row["kind"] == "canvas_page":
                    found = canvas.page(course_id, known["page_url"])
                    path.write_text(str(found.get("body") or ""), encoding="utf-8")
                    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
                    title, name, media_type = found.get("title"), "page.html", HTML
                else:
                    found = canvas.file(course_id, int(known["file_id"]))
                    if not found.get("url"):
                        raise SourceFailed("source_locked")
                    checksum, _, _, _ = self._download(str(found["url"]), path)
                    title = found.get("display_name") or found.get("filename")
                    name, media_type = str(title or ""), ""
        except (CanvasError, IntegrationNotConnected) as error:
            raise SourceFailed(error.code if error.code in TO_DO else "canvas_bad_answer") from error
        if checksum == row["checksum"] and row["text_content"]:
            return {"checksum": checksum}
        shown = " ".join(visible(str(title or "")).split())[:500]
        titled = {"title": shown} if shown and row["checksum"] is None else {}
        return {"checksum": checksum, **titled, **self._read(row, path, name, media_type, None)}

    def _fetched(self, row: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """What is at a link now. The same bytes as before are not read again."""
        checksum, name, media_type, charset = self._download(row["source_url"], path)
        if checksum == row["checksum"] and row["text_content"]:
            return {"checksum": checksum}
        return {"checksum": checksum, **self._read(row, path, name, media_type, charset)}

    def _read(
        self, row: Mapping[str, Any], path: Path, name: str, media_type: str, charset: str | None
    ) -> dict[str, Any]:
        """Reads a file and writes its fragments; the columns that change."""
        found = self._extracted(path, name, media_type, charset)
        pages = [clean(page) for page in found["pages"]] if found["pages"] is not None else None
        text = "\n\n".join(page for page in pages if page.strip()) if pages is not None else clean(found["text"])
        self._context.check_cancelled()
        self._replace(chunk_markdown(text) if pages is None else chunk_pages(pages))
        known = {"media_type": found["media_type"], "page_count": None if pages is None else len(pages)}
        metadata = {**row["metadata"], **known, "is_cut": found["is_cut"]}
        return {"text_content": text, "metadata": metadata}

    def _download(self, url: str, path: Path) -> tuple[str, str, str, str | None]:
        """Writes what is at an address to a file; its checksum, name, type and charset."""
        seconds = min(FETCH_SECONDS, self._context.remaining_seconds())
        digest = hashlib.sha256()
        try:
            with Fetcher.of(self._context.settings).get(
                url, max_bytes=MAX_BYTES, total_seconds=seconds, headers=HEADERS
            ) as answer:
                _judge(answer.status)
                with path.open("wb") as file:
                    for chunk in answer.chunks():
                        digest.update(chunk)
                        file.write(chunk)
                return digest.hexdigest(), urlsplit(answer.url).path[-200:], answer.media_type, answer.charset
        except (AddressRefused, RedirectRefused) as error:
            raise SourceFailed("source_address_refused") from error
        except AnswerTooLarge as error:
            raise SourceFailed("source_too_large") from error
        except OutboundError as error:
            raise SourceFailed("source_unavailable") from error

    def _extracted(self, path: Path, name: str, media_type: str, charset: str | None) -> dict[str, Any]:
        try:
            found = run_in_child(
                extract,
                [str(path), name, media_type, charset],
                seconds=min(READ_SECONDS, self._context.remaining_seconds()),
                max_memory_bytes=READ_MEMORY_BYTES,
                check=self._context.check_cancelled,
            )
        except ChildError as error:
            log.warning("source_unreadable", content_source_id=self._id, error=type(error).__name__)
            raise SourceFailed(TOO_LONG if isinstance(error, ChildOutOfMemory) else UNREADABLE) from error
        if found["failure"] is not None:
            raise SourceFailed(found["failure"])
        return dict(found)

    def _replace(self, chunks: list[Chunk]) -> None:
        try:
            replace_chunks(self._service, "content_source", self._id, chunks)
        except NotFound as error:
            raise Gone from error

    def _write(self, status: str, changes: Mapping[str, Any]) -> None:
        """Changes the row while it has a status."""
        query = self._service.from_("content_sources").update(dict(changes)).eq("id", self._id).eq("status", status)
        if not run(query):
            raise Gone


def _judge(status: int) -> None:
    if status in (401, 403, 407):
        raise SourceFailed("source_forbidden")
    if status in (404, 410):
        raise SourceFailed("source_gone")
    if status != 200:
        raise SourceFailed("source_unavailable")
