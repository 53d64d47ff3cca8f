"""Transcripts, summaries and notes of sessions. Texts are stored encrypted, and each reading is audited.

Whose session or assignment it is, the database tells: rows are read in the caller's name first.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

from functions.shared.crypto import Envelope
from functions.shared.database import Database, rpc, run
from functions.shared.errors import Conflict, NotFound
from functions.shared.tokens import Caller
from functions.tutoring.sessions.errors import SummaryOverridden

Parent = Literal["session", "assignment"]
TABLES = {"session": "tutoring_sessions", "assignment": "tutor_student_assignments"}
# an author has one note on a session or assignment, so that its id follows from theirs
NOTES = uuid.UUID("5c2a3a0e-6c0e-4b5d-9d0b-6c3f1f1f7a10")


class SessionService:
    """What routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, crypto: Envelope) -> None:
        self._database = database
        self._crypto = crypto

    def _visible(self, caller: Caller, parent: Parent, parent_id: str) -> dict[str, Any]:
        """A session or assignment that the caller may see now, with ``student_id`` and ``tutor_id``.

        :raise NotFound: it does not exist, or they may not see it
        """
        query = self._database.user(caller.token).from_(TABLES[parent]).select("student_id,tutor_id")
        rows = run(query.eq("id", parent_id))
        if not rows:
            raise NotFound
        return dict(rows[0])

    def _tutored(self, caller: Caller, parent: Parent, parent_id: str) -> dict[str, Any]:
        """One that is the caller's own as its tutor.

        :raise NotFound: it is not
        """
        row = self._visible(caller, parent, parent_id)
        if row["tutor_id"] != caller.user_id:
            raise NotFound
        return row

    def put_transcript(self, caller: Caller, session_id: str, text: str) -> None:
        """Stores or replaces a transcript; its summary is enqueued with it.

        :raise NotFound: it is not a session that the caller holds
        """
        self._tutored(caller, "session", session_id)
        sealed = self._crypto.encrypt(text, row_id=session_id, field="transcript_enc")
        args = {"p_session_id": session_id, "p_transcript_enc": sealed}
        # once more is another version with the same text
        rpc(self._database.service(), "svc_put_transcript", args, safe=True)

    def transcript(self, caller: Caller, session_id: str) -> str:
        """What was said, for the session's tutor and student.

        :raise NotFound: there is no transcript, or it is not theirs
        """
        if caller.user_id not in self._visible(caller, "session", session_id).values():
            raise NotFound
        args = {"p_session_id": session_id, "p_reader_id": caller.user_id}
        rows = rpc(self._database.service(), "svc_get_transcript", args, safe=True)
        if not rows or rows[0]["transcript_enc"] is None:
            raise NotFound
        return self._crypto.decrypt(rows[0]["transcript_enc"], row_id=session_id, field="transcript_enc")

    def summarise(self, caller: Caller, session_id: str) -> str:
        """Enqueues the summary; the job's id.

        :raise NotFound: it is not a session that the caller holds
        :raise SummaryOverridden: a tutor has corrected the summary
        """
        self._tutored(caller, "session", session_id)
        args = {"p_session_id": session_id, "p_tutor_id": caller.user_id}
        try:
            return str(rpc(self._database.service(), "svc_request_summary", args, safe=True))
        except Conflict as error:
            raise SummaryOverridden from error

    def note(self, caller: Caller, parent: Parent, parent_id: str) -> str | None:
        """The caller's own note, or None.

        :raise NotFound: it is not a session or assignment of theirs
        """
        row = self._tutored(caller, parent, parent_id)
        args = {"p_tutor_id": caller.user_id, "p_student_id": row["student_id"]}
        notes = rpc(self._database.service(), "svc_list_tutor_notes", args, safe=True)
        note_id = _note_id(caller, parent_id)
        sealed = next((note["body_enc"] for note in notes if note["id"] == note_id), None)
        return None if sealed is None else self._crypto.decrypt(sealed, row_id=note_id, field="body_enc")

    def put_note(self, caller: Caller, parent: Parent, parent_id: str, body: str) -> None:
        """Stores or replaces the caller's note.

        :raise NotFound: it is not a session or assignment of theirs
        """
        row, note_id = self._tutored(caller, parent, parent_id), _note_id(caller, parent_id)
        args = {
            "p_tutor_id": caller.user_id,
            "p_student_id": row["student_id"],
            "p_body_enc": self._crypto.encrypt(body, row_id=note_id, field="body_enc"),
            f"p_{parent}_id": parent_id,
            "p_id": note_id,
        }
        rpc(self._database.service(), "svc_put_tutor_note", args, safe=True)

    def delete_note(self, caller: Caller, parent: Parent, parent_id: str) -> None:
        """Deletes the caller's note; without one nothing happens.

        :raise NotFound: it is not a session or assignment of theirs
        """
        self._tutored(caller, parent, parent_id)
        args = {"p_id": _note_id(caller, parent_id), "p_tutor_id": caller.user_id}
        rpc(self._database.service(), "svc_delete_tutor_note", args, safe=True)


def _note_id(caller: Caller, parent_id: str) -> str:
    return str(uuid.uuid5(NOTES, f"{caller.user_id}:{parent_id}"))
