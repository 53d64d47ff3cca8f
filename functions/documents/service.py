"""Stores, signs and deletes documents. A job reads their text (jobs.py)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import IO, Any, NamedTuple

import structlog

from functions.documents.errors import CatalogCourseNotFound
from functions.documents.files import Kind, clean_name, kind_of
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc_row, run
from functions.shared.errors import AppError, Conflict, NotFound
from functions.shared.storage import ObjectMissing, Storage
from functions.shared.tokens import Caller
from functions.shared.usage import return_usage, take_usage

log = structlog.get_logger(__name__)

BUCKET = "documents"
METER = "document_mb"
MIB = 1024 * 1024
URL_SECONDS = 300
# another request may store or delete the same bytes between our look and our write
MAX_ATTEMPTS = 3


class Received(NamedTuple):
    """An uploaded file: open, at its beginning."""

    file: IO[bytes]
    size: int
    sha256: str
    filename: str
    catalog_course_id: str


class Stored(NamedTuple):
    """A row of documents, and whether this upload made it (False: it had been stored before)."""

    row: dict[str, Any]
    created: bool


class DocumentService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, storage: Storage, clock: Clock) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock

    def store(self, caller: Caller, received: Received) -> Stored:
        """Stores a file in the caller's name, once for each course.

        The file is stored before its row, so that a row always has its file. When the process is killed between the
        two, the sweep of the job storage_cleanup deletes the file.

        :raise DocumentEmpty: it has no bytes
        :raise DocumentTypeNotSupported: its type is not accepted
        :raise CatalogCourseNotFound: there is no such course
        :raise PlanLimitReached: the caller's plan allows no more uploads in this period
        """
        kind = kind_of(received.file, received.filename)
        names = {
            "p_owner_id": caller.user_id,
            "p_catalog_course_id": received.catalog_course_id,
            "p_checksum": received.sha256,
        }
        for _ in range(MAX_ATTEMPTS):
            try:
                # the row belongs to the caller: the function looks among the documents of p_owner_id alone
                found = rpc_row(self._database.service(), "svc_begin_document", names, safe=True)
            except NotFound as error:
                raise CatalogCourseNotFound() from error
            if found["outcome"] == "existing":
                return Stored(found["document"], created=False)
            stored = self._store(caller, received, kind, names, found["document"])
            if stored is not None:
                return stored
        raise Conflict()

    def _store(
        self,
        caller: Caller,
        received: Received,
        kind: Kind,
        names: Mapping[str, str],
        failed: Mapping[str, Any] | None,
    ) -> Stored | None:
        """Stores file and row. None: the row changed meanwhile, and nothing was stored.

        :param failed: the row to be used again, whose file was lost
        """
        service = self._database.service()
        document_id = failed["id"] if failed else str(uuid.uuid4())
        key = failed["storage_key"].partition("/")[2] if failed else f"{document_id}{kind.suffix}"
        usage = take_usage(service, self._clock, caller.user_id, METER, -(-received.size // MIB))
        outcome = "failed"
        try:
            self._storage.upload(BUCKET, key, received.file, kind.mime_type)
            args = {
                **names,
                "p_document_id": document_id,
                "p_filename": clean_name(received.filename, kind),
                "p_storage_key": f"{BUCKET}/{key}",
                "p_mime_type": kind.mime_type,
                "p_size_bytes": received.size,
            }
            outcome = "unknown"
            found = rpc_row(service, "svc_store_document", args, safe=True)
            outcome = found["outcome"]
        except NotFound as error:
            # the course was deleted meanwhile
            outcome = "failed"
            raise CatalogCourseNotFound() from error
        finally:
            if outcome != "created":
                return_usage(service, usage)
            # After a lost answer the row may stand, and a row that is used again may have been stored by another
            # request. Such a file stays; without a row the sweep deletes it.
            if outcome in ("failed", "existing", "changed") and not failed:
                self._remove(key)
        if outcome == "changed":
            return None
        return Stored(found["document"], created=outcome == "created")

    def file(self, caller: Caller, document_id: str) -> tuple[str, str, datetime]:
        """An address of one of the caller's files, its name, and when the address expires.

        :raise NotFound: the document does not exist, belongs to another person, or has lost its file
        """
        query = self._database.user(caller.token).from_("documents").select("filename,storage_key,status")
        rows = run(query.eq("id", document_id).limit(1))
        if not rows or rows[0]["status"] != "uploaded":
            raise NotFound
        expires_at = self._clock.now() + timedelta(seconds=URL_SECONDS)
        bucket, _, key = rows[0]["storage_key"].partition("/")
        try:
            url = self._storage.signed_url(bucket, key, URL_SECONDS, rows[0]["filename"])
        except ObjectMissing as error:
            raise NotFound from error
        return url, rows[0]["filename"], expires_at

    def delete(self, caller: Caller, document_id: str) -> None:
        """Deletes one of the caller's documents: row, fragments and file.

        The same transaction puts the file into the outbox, so a file that cannot be deleted now is deleted later.

        :raise NotFound: it does not exist, or belongs to another person
        """
        rows = run(self._database.user(caller.token).from_("documents").delete().eq("id", document_id))
        if not rows:
            raise NotFound
        self._remove(rows[0]["storage_key"].partition("/")[2])

    def _remove(self, key: str) -> None:
        try:
            self._storage.remove(BUCKET, [key])
        except AppError as error:
            log.warning("file_not_removed", error_code=error.code)
