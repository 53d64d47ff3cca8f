"""Stores, signs and deletes documents. A job reads their text (jobs.py)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from functions.documents.errors import CatalogCourseNotFound
from functions.documents.files import document_kind
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc_row, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.files import Kind, clean_name
from functions.shared.storage import ObjectMissing, Storage
from functions.shared.tokens import Caller
from functions.shared.uploads import Uploaded, Uploads

BUCKET = "documents"
URL_SECONDS = 300
# another request may store or delete the same bytes between our look and our write
MAX_ATTEMPTS = 3


class Received(NamedTuple):
    """A file for a course."""

    uploaded: Uploaded
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
        self._uploads = Uploads(database, storage, clock, BUCKET)

    def store(self, caller: Caller, received: Received) -> Stored:
        """Stores a file in the caller's name, once for each course.

        :raise DocumentEmpty: it has no bytes
        :raise DocumentTypeNotSupported: its type is not accepted
        :raise CatalogCourseNotFound: there is no such course
        :raise PlanLimitReached: the caller's plan allows no more uploads in this period
        """
        uploaded = received.uploaded
        kind = document_kind(uploaded.file, uploaded.filename)
        names = {
            "p_owner_id": caller.user_id,
            "p_catalog_course_id": received.catalog_course_id,
            "p_checksum": uploaded.sha256,
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
        document_id = failed["id"] if failed else str(uuid.uuid4())
        key = failed["storage_key"].partition("/")[2] if failed else f"{document_id}{kind.suffix}"
        args = {
            **names,
            "p_document_id": document_id,
            "p_filename": clean_name(received.uploaded.filename, kind),
            "p_storage_key": f"{BUCKET}/{key}",
            "p_mime_type": kind.mime_type,
            "p_size_bytes": received.uploaded.size,
        }

        def record() -> Mapping[str, Any]:
            return rpc_row(self._database.service(), "svc_store_document", args, safe=True)

        try:
            found = self._uploads.store(
                # a row that is used again may have been stored by another request
                caller.user_id,
                received.uploaded,
                key,
                kind.mime_type,
                record,
                may_remove=not failed,
            )
        except NotFound as error:
            # the course was deleted meanwhile
            raise CatalogCourseNotFound() from error
        if found["outcome"] == "changed":
            return None
        return Stored(found["document"], created=found["outcome"] == "created")

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
        self._uploads.remove(rows[0]["storage_key"].partition("/")[2])
