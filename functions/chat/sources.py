"""Takes files that teachers upload, and pages and files of Canvas, as material. A job reads them (reading.py)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import IO, Any, NamedTuple
from urllib.parse import quote

from functions.chat.canvas import integrations, page_name
from functions.chat.errors import SourceEmpty, SourceEncrypted, SourceTooLong, SourceTypeNotSupported
from functions.chat.material import require_teacher
from functions.chat.schemas import CanvasWish
from functions.shared.canvas.errors import IntegrationNotConnected
from functions.shared.canvas.oauth import base_url
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row
from functions.shared.errors import ValidationFailed
from functions.shared.extraction import ENCRYPTED, TOO_LONG, Refused
from functions.shared.files import Kind, claimed_kind, clean_name, kind_of
from functions.shared.jobs import enqueue
from functions.shared.storage import Storage
from functions.shared.tokens import Caller
from functions.shared.uploads import Uploaded, Uploads

BUCKET = "content"


class Stored(NamedTuple):
    """A row of content_sources, its live job, and whether this upload made it (False: it was stored before)."""

    row: dict[str, Any]
    job_id: str | None
    created: bool


class Asked(NamedTuple):
    """A content source and the job that reads it."""

    content_source_id: str
    job_id: str


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

    def add_canvas(self, caller: Caller, wish: CanvasWish, *, local: bool) -> Asked:
        """Has a page or file of Canvas read, again when it was added before.

        :raise Forbidden: the caller is no teacher
        :raise IntegrationNotConnected: the caller's Canvas is not connected
        :raise NotFound: the class does not exist, or belongs to another teacher
        :raise ValidationFailed: the page's address is none
        """
        require_teacher(self._database, caller)
        service = self._database.service()
        # the integrations of the caller
        rows = integrations(service, caller.user_id)
        if not rows:
            raise IntegrationNotConnected(hint="Connect Canvas with POST /canvas-oauth/start.")
        home = f"{base_url(rows[0]['instance_domain'], local=local)}/courses/{wish.canvas_course_id}"
        known = {"canvas_course_id": wish.canvas_course_id, "integration_id": rows[0]["id"]}
        if wish.page_url is not None:
            name = page_name(wish.page_url)
            if name is None:
                raise ValidationFailed.at("page_url", "page_url_invalid")
            kind, title, url = "canvas_page", name, f"{home}/pages/{quote(name, safe='')}"
            known["page_url"] = name
        else:
            file_id = str(wish.file_id)
            kind, title, url = "canvas_file", f"File {file_id}", f"{home}/files/{file_id}"
            known["file_id"] = file_id
        args = {
            "p_teacher_id": caller.user_id,
            "p_class_id": None if wish.class_id is None else str(wish.class_id),
            "p_kind": kind,
            "p_title": title[:500],
            "p_source_url": url,
            "p_metadata": known,
        }
        row = rpc_row(service, "svc_add_canvas_source", args, safe=True)
        return Asked(row["content_source_id"], row["job_id"])

    def refresh_courses(self, caller: Caller, course_ids: list[str] | None) -> str:
        """Has the caller's courses fetched from Canvas; the job. A live job for the same courses is joined.

        :raise Forbidden: the caller is no teacher
        :raise IntegrationNotConnected: the caller's Canvas is not connected
        """
        require_teacher(self._database, caller)
        service = self._database.service()
        if not integrations(service, caller.user_id):
            raise IntegrationNotConnected(hint="Connect Canvas with POST /canvas-oauth/start.")
        wanted = None if course_ids is None else sorted(set(course_ids))
        which = "all" if wanted is None else hashlib.sha256(",".join(wanted).encode()).hexdigest()[:32]
        return enqueue(
            service,
            "canvas_courses_cache",
            {} if wanted is None else {"canvas_course_ids": wanted},
            user_id=caller.user_id,
            dedupe_key=f"canvas_courses_cache:{caller.user_id}:{which}",
        ).job_id


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
