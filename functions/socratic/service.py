"""Takes lines, follows and stops answers, ends sessions. Models are called by the jobs, never here."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from functions.shared.answers.following import Follower, Parts
from functions.shared.answers.reading import EventReader
from functions.shared.answers.replay import Ended, parts_of
from functions.shared.answers.waking import Waker
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import AppError, NotFound
from functions.shared.jobs import wait_for_job
from functions.shared.storage import ObjectMissing, Storage
from functions.shared.tokens import Caller
from functions.shared.uploads import Uploaded
from functions.socratic.errors import AnswerInProgress, ExternalIdConflict, SessionEnded, WeekArchived
from functions.socratic.schemas import SocraticLine
from functions.socratic.voice import BUCKET, MIME_TYPE, prepared

log = structlog.get_logger(__name__)

MESSAGE_COLUMNS = (
    "id,session_id,role,content,status,external_id,parent_id,finish_reason,error_code,model,prompt_version,metrics,"
    "audio_url,audio_seconds,transcript,created_at"
)
SESSION_COLUMNS = (
    "id,week_id,topic,started_at,ended_at,total_questions,insights_generated,voice_enabled,session_metadata"
)
MAX_INSIGHTS_SECONDS = 20.0
URL_SECONDS = 3600


class Asked(NamedTuple):
    """A stored line and the agent's answer to it, which may be running or over."""

    user_message_id: str
    assistant_message_id: str


class SocraticService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, storage: Storage, reader: EventReader, waker: Waker, clock: Clock) -> None:
        self._database = database
        self._storage = storage
        self._reader = reader
        self._waker = waker
        self._clock = clock

    def say(self, caller: Caller, session_id: str, line: SocraticLine) -> Asked:
        """Stores a line and has it answered, or finds the answer to the same line.

        :raise NotFound: the session does not exist, or belongs to another learner
        :raise ExternalIdConflict: the external id stands for another line
        :raise AnswerInProgress: another line of the session is being answered
        :raise SessionEnded: the session has ended
        :raise WeekArchived: its week is archived
        """
        digest = hashlib.sha256(f"text:{line.content}".encode()).hexdigest()
        return self._begin(caller, session_id, line.external_id, line.content, digest)

    def speak(self, caller: Caller, session_id: str, spoken: Uploaded, external_id: str) -> Asked:
        """Stores a spoken line and has it heard and answered, or finds the answer to the same recording.

        :raise NotFound: the session does not exist, or belongs to another learner
        :raise AudioTypeNotSupported: it is no sound that is read
        :raise AudioTooLong: it is longer than ten minutes
        :raise AudioSilent: nothing is to be heard
        :raise ExternalIdConflict: the external id stands for another line
        :raise AnswerInProgress: another line of the session is being answered
        :raise SessionEnded: the session has ended
        :raise WeekArchived: its week is archived
        """
        # before the recording is decoded
        self._session(caller, session_id)
        message_id = str(uuid.uuid4())
        key = f"{caller.user_id}/{message_id}"
        with tempfile.TemporaryDirectory() as folder:
            sound, seconds = prepared(spoken.file, Path(folder))
            self._storage.upload(BUCKET, key, sound, MIME_TYPE)
        audio = {"p_message_id": message_id, "p_audio_url": f"{BUCKET}/{key}", "p_audio_seconds": round(seconds, 3)}
        is_kept = False
        try:
            digest = hashlib.sha256(f"audio:{spoken.sha256}".encode()).hexdigest()
            asked = self._begin(caller, session_id, external_id, "", digest, **audio)
            is_kept = asked.user_message_id == message_id
        except AppError as error:
            # after a lost answer the line may stand; a file without one is deleted by the sweep
            is_kept = error.status >= 500
            raise
        finally:
            if not is_kept:
                self._remove(key)
        return asked

    def _remove(self, key: str) -> None:
        try:
            self._storage.remove(BUCKET, [key])
        except AppError as error:
            log.warning("file_not_removed", error_code=error.code)

    def audio(self, caller: Caller, message_id: str) -> tuple[str, datetime]:
        """A signed address of a spoken line, and when it expires.

        :raise NotFound: there is no such line of the caller, it is not spoken, or its file is gone
        """
        client = self._database.user(caller.token)
        rows = run(client.from_("socratic_messages").select("audio_url").eq("id", message_id).limit(1))
        if not rows or rows[0]["audio_url"] is None:
            raise NotFound
        expires_at = self._clock.now() + timedelta(seconds=URL_SECONDS)
        bucket, _, key = rows[0]["audio_url"].partition("/")
        try:
            return self._storage.signed_url(bucket, key, URL_SECONDS), expires_at
        except ObjectMissing as error:
            raise NotFound from error

    def _begin(
        self, caller: Caller, session_id: str, external_id: str, content: str, digest: str, **audio: Any
    ) -> Asked:
        args = {
            "p_session_id": session_id,
            "p_user_id": caller.user_id,
            "p_external_id": external_id,
            "p_content": content,
            "p_content_hash": digest,
            **audio,
        }
        # the function looks among the caller's own sessions, and a second call finds what the first stored
        row = rpc_row(self._database.service(), "svc_begin_socratic", args, safe=True)
        match row["outcome"]:
            case "conflict":
                raise ExternalIdConflict
            case "busy":
                raise AnswerInProgress
            case "ended":
                raise SessionEnded
            case "archived":
                raise WeekArchived
            case "new":
                self._waker.wake()
        return Asked(row["user_message_id"], row["assistant_message_id"])

    def live(self, caller: Caller, session_id: str) -> str | None:
        """The id of the answer that is being written in one of the caller's sessions, None when there is none.

        :raise NotFound: the session does not exist, or belongs to another learner
        """
        self._session(caller, session_id)
        query = self._database.user(caller.token).from_("socratic_messages").select("id")
        rows = run(query.eq("session_id", session_id).eq("status", "streaming").limit(1))
        return rows[0]["id"] if rows else None

    def stop(self, caller: Caller, session_id: str) -> str | None:
        """Ends the answer that is being written; its id, None when there is none.

        :raise NotFound: the session does not exist, or belongs to another learner
        """
        args = {"p_session_id": session_id, "p_user_id": caller.user_id}
        stopped: str | None = rpc(self._database.service(), "svc_stop_socratic", args, safe=True)
        return stopped

    def follow(self, answer_id: str) -> Follower:
        """Reads an answer's stream. The answer must be one that :meth:`say` or :meth:`live` gave."""

        def ended(is_stored: bool) -> Parts | None:
            query = self._database.service().from_("socratic_messages").select(MESSAGE_COLUMNS)
            rows = run(query.eq("id", answer_id).limit(1))
            if rows and rows[0]["status"] == "streaming":
                return None
            parts = parts_of(ended_of(rows[0])) if rows else [{"type": "abort"}]
            return parts[-1:] if is_stored else parts

        return Follower(self._reader, answer_id, ended)

    def pair(self, caller: Caller, asked: Asked) -> Sequence[Mapping[str, Any]]:
        """The line's and the answer's row.

        :raise NotFound: they were deleted meanwhile
        """
        query = self._database.user(caller.token).from_("socratic_messages").select(MESSAGE_COLUMNS)
        rows = {row["id"]: row for row in run(query.in_("id", list(asked)))}
        if len(rows) != len(asked):
            raise NotFound
        return [rows[message_id] for message_id in asked]

    def end(self, caller: Caller, session_id: str) -> tuple[Mapping[str, Any], str | None]:
        """Ends a session and waits for its insights; the session, and the job when they are not there in time.

        :raise NotFound: the session does not exist, or belongs to another learner
        """
        args = {"p_session_id": session_id, "p_user_id": caller.user_id}
        found = rpc_row(self._database.service(), "svc_end_socratic", args, safe=True)
        job_id = None
        if not found["is_done"]:
            self._waker.wake()
            client = self._database.user(caller.token)
            job = wait_for_job(found["job_id"], MAX_INSIGHTS_SECONDS, client=client, clock=self._clock)
            job_id = None if job is not None and job["status"] == "succeeded" else found["job_id"]
        return self._session(caller, session_id), job_id

    def _session(self, caller: Caller, session_id: str) -> Mapping[str, Any]:
        query = self._database.user(caller.token).from_("socratic_sessions").select(SESSION_COLUMNS)
        rows: list[Mapping[str, Any]] = run(query.eq("id", session_id).limit(1))
        if not rows:
            raise NotFound
        return rows[0]


def ended_of(row: Mapping[str, Any]) -> Ended:
    """An answer that has ended, from its row."""
    return Ended(row["id"], row["status"], row["content"], row["finish_reason"], row["error_code"])
