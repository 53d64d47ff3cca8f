"""Submits lectures, tries them again and hands out their files. The work itself is in jobs.py."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from functions.lectures.errors import CatalogCourseNotFound, LectureNotFailed, PanoptoHostNotAllowed
from functions.lectures.links import read_link
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.fetch import is_listed
from functions.shared.settings import Settings
from functions.shared.storage import ObjectMissing, Storage
from functions.shared.tokens import Caller

URL_SECONDS = 300
FILE_COLUMNS = {
    "audio_url": "audio_storage_key",
    "transcript_url": "transcript_storage_key",
    "captions_url": "captions_storage_key",
}


class Submitted(NamedTuple):
    """A lecture that the caller follows. ``created`` is False when it was known already."""

    lecture_id: str
    status: str
    created: bool


class LectureService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def submit(self, caller: Caller, course_id: str, url: str, title: str | None) -> Submitted:
        """Links the caller to the recording behind a link, and starts the work on it if it is not done.

        :raise PanoptoUrlInvalid: the link names no recording
        :raise PanoptoHostNotAllowed: the site is not on the list of this deployment
        :raise CatalogCourseNotFound: no course has this id
        """
        recording = read_link(url, local=self._settings.is_local)
        if not is_listed(recording.viewer_url, self._hosts(caller)):
            raise PanoptoHostNotAllowed()
        args = {
            "p_user_id": caller.user_id,
            "p_catalog_course_id": course_id,
            "p_panopto_url": recording.viewer_url,
            "p_panopto_host": recording.host,
            "p_panopto_session_id": recording.session_id,
            "p_stream_url": recording.stream_url,
            "p_title": title,
        }
        try:
            # the function links only the person it is given; a second call changes nothing
            row = rpc_row(self._database.service(), "svc_submit_lecture", args, safe=True)
        except NotFound as error:
            raise CatalogCourseNotFound() from error
        return Submitted(row["lecture_id"], self._find(caller, row["lecture_id"], "status")["status"], row["created"])

    def retry(self, caller: Caller, lecture_id: str) -> Submitted:
        """Starts the work on a failed lecture again.

        :raise NotFound: the lecture does not exist, or the caller does not follow it
        :raise LectureNotFailed: it has not failed
        """
        try:
            # the function asks whether the person follows the lecture
            args = {"p_user_id": caller.user_id, "p_lecture_id": lecture_id}
            rpc(self._database.service(), "svc_retry_lecture", args)
        except Conflict as error:
            raise LectureNotFailed() from error
        return Submitted(lecture_id, self._find(caller, lecture_id, "status")["status"], False)

    def media(self, caller: Caller, lecture_id: str, clock: Clock) -> tuple[dict[str, str | None], datetime]:
        """Signed addresses of the lecture's files, and when they expire.

        :raise NotFound: the lecture does not exist, or the caller does not follow it
        :raise Unavailable: Storage does not answer
        """
        row = self._find(caller, lecture_id, ",".join(FILE_COLUMNS.values()))
        expires_at = clock.now() + timedelta(seconds=URL_SECONDS)
        with Storage(self._settings) as storage:
            return {name: _signed(storage, row[column]) for name, column in FILE_COLUMNS.items()}, expires_at

    def _find(self, caller: Caller, lecture_id: str, columns: str) -> dict[str, Any]:
        rows = run(self._database.user(caller.token).from_("lectures").select(columns).eq("id", lecture_id).limit(1))
        if not rows:
            raise NotFound()
        return dict(rows[0])

    def _hosts(self, caller: Caller) -> list[str]:
        """The sites of the setting and those that staff noted at the school's Canvas installations."""
        query = self._database.user(caller.token).from_("lms_connections").select("hosts:settings->panopto_hosts")
        noted = [row["hosts"] for row in run(query.eq("status", "active")) if isinstance(row["hosts"], list)]
        return [*self._settings.panopto_hosts, *(host for hosts in noted for host in hosts if isinstance(host, str))]


def _signed(storage: Storage, key: str | None) -> str | None:
    if key is None:
        return None
    bucket, _, name = key.partition("/")
    try:
        return storage.signed_url(bucket, name, URL_SECONDS)
    except ObjectMissing:
        # the sweep will notice that the row names a missing file
        return None
