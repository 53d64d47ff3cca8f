"""Takes files that teachers upload as material. The job ``content_source`` reads them (reading.py)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from functions.chat.errors import SourceEmpty, SourceEncrypted, SourceTooLong, SourceTypeNotSupported
from functions.chat.material import require_teacher
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row
from functions.shared.extraction import ENCRYPTED, TOO_LONG, Refused
from functions.shared.files import Kind, claimed_kind, clean_name, kind_of
from functions.shared.storage import Storage
from functions.shared.tokens import Caller
from functions.shared.uploads import Uploaded, Uploads

BUCKET = "content"


class Stored(NamedTuple):
    """A row of content_sources, its live job, and whether this upload made it (False: it was stored before)."""

    row: dict[str, Any]
    job_id: str | None
    created: bool


class SourceService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, storage: Storage, clock: Clock) -> None:
        self._database = database
        self._uploads = Uploads(database, storage, clock, BUCKET)

    def store(self, caller: Caller, uploaded: Uploaded, title: str | None, class_id: str | None) -> Stored:
        """Stores a file in the caller's name, once for each class, and has it read.

        :raise SourceEmpty: it has no bytes
        :raise SourceTypeNotSupported: its type is not read, or is not the one that its name says
        :raise SourceTooLong: it unpacks to too much
        :raise SourceEncrypted: it needs a password
        :raise Forbidden: the caller is no teacher
        :raise NotFound: the class does not exist, or belongs to another teacher
        :raise PlanLimitReached: the caller's plan allows no more uploads in this period
        """
        kind = source_kind(uploaded.file, uploaded.filename)
        require_teacher(self._database, caller)
        service = self._database.service()
        bytes_of = {"p_teacher_id": caller.user_id, "p_class_id": class_id, "p_checksum": uploaded.sha256}
        # the function looks among the caller's own rows
        for known in rpc(service, "svc_find_content_source", bytes_of, safe=True):
            return Stored(known["content_source"], known["job_id"], created=False)
        name = clean_name(uploaded.filename, kind)
        source_id = str(uuid.uuid4())
        key = f"{source_id}{kind.suffix}"
        args = {
            **bytes_of,
            "p_id": source_id,
            "p_title": title or name,
            "p_storage_key": f"{BUCKET}/{key}",
            "p_metadata": {"media_type": kind.mime_type, "filename": name, "size_bytes": uploaded.size},
        }

        def record() -> Mapping[str, Any]:
            return rpc_row(service, "svc_store_content_source", args, safe=True)

        found = self._uploads.store(caller.user_id, uploaded, key, kind.mime_type, record)
        return Stored(found["content_source"], found["job_id"], created=found["outcome"] == "created")


def source_kind(file: IO[bytes], filename: str) -> Kind:
    """The type of an open file. Its position is at the beginning before and after.

    :raise SourceEmpty, SourceTypeNotSupported, SourceTooLong, SourceEncrypted: see :meth:`SourceService.store`
    """
    if not file.read(1):
        raise SourceEmpty()
    file.seek(0)
    try:
        kind = kind_of(file, filename)
    except Refused as error:
        refusals = {TOO_LONG: SourceTooLong, ENCRYPTED: SourceEncrypted}
        raise refusals.get(str(error), SourceTypeNotSupported)() from error
    if kind is None or claimed_kind(filename) not in (None, kind):
        raise SourceTypeNotSupported()
    return kind
