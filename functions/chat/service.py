"""Takes questions, follows and stops answers. Models are called by the job (jobs.py), never here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from functions.chat.errors import AnswerInProgress, ExternalIdConflict
from functions.chat.schemas import Question
from functions.shared.answers.following import Follower, Parts
from functions.shared.answers.reading import EventReader
from functions.shared.answers.replay import Ended, parts_of, source_part
from functions.shared.answers.waking import Waker
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import NotFound
from functions.shared.tokens import Caller

MESSAGE_COLUMNS = (
    "id,thread_id,role,content,status,external_id,parent_id,finish_reason,error_code,model,prompt_version,metrics,"
    "citations,created_at"
)


class Asked(NamedTuple):
    """A stored question and the answer to it, which may be running or over."""

    user_message_id: str
    assistant_message_id: str


class ChatService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, reader: EventReader, waker: Waker) -> None:
        self._database = database
        self._reader = reader
        self._waker = waker

    def ask(self, caller: Caller, thread_id: str, question: Question) -> Asked:
        """Stores a question and has it answered, or finds the answer of the same question.

        :raise NotFound: the thread, the class or a source does not exist, or belongs to another teacher
        :raise ExternalIdConflict: the external id stands for another question
        :raise AnswerInProgress: another question of the thread is being answered
        """
        sources = sorted({str(source) for source in question.content_source_ids})
        class_id = None if question.class_id is None else str(question.class_id)
        whole = json.dumps([question.content, class_id, sources], ensure_ascii=False)
        args = {
            "p_thread_id": thread_id,
            "p_teacher_id": caller.user_id,
            "p_external_id": question.external_id,
            "p_content": question.content,
            "p_content_hash": hashlib.sha256(whole.encode()).hexdigest(),
            "p_class_id": class_id,
            "p_content_source_ids": sources,
        }
        # the function looks among the caller's own rows, and a second call finds what the first stored
        row = rpc_row(self._database.service(), "svc_begin_answer", args, safe=True)
        match row["outcome"]:
            case "conflict":
                raise ExternalIdConflict
            case "busy":
                raise AnswerInProgress
            case "new":
                self._waker.wake()
        return Asked(row["user_message_id"], row["assistant_message_id"])

    def live(self, caller: Caller, thread_id: str) -> str | None:
        """The id of the answer that is being written in one of the caller's threads, None when there is none.

        :raise NotFound: the thread does not exist, or belongs to another teacher
        """
        client = self._database.user(caller.token)
        if not run(client.from_("threads").select("id").eq("id", thread_id).limit(1)):
            raise NotFound
        query = client.from_("messages").select("id").eq("thread_id", thread_id).eq("status", "streaming")
        rows = run(query.limit(1))
        return rows[0]["id"] if rows else None

    def stop(self, caller: Caller, thread_id: str) -> str | None:
        """Ends the answer that is being written, with the text so far; its id, None when there is none.

        :raise NotFound: the thread does not exist, or belongs to another teacher
        """
        args = {"p_thread_id": thread_id, "p_teacher_id": caller.user_id}
        stopped: str | None = rpc(self._database.service(), "svc_stop_answer", args, safe=True)
        return stopped

    def follow(self, caller: Caller, answer_id: str) -> Follower:
        """Reads an answer's stream. The answer must be one that :meth:`ask` or :meth:`live` gave."""

        def ended(is_stored: bool) -> Parts | None:
            query = self._database.service().from_("messages").select(MESSAGE_COLUMNS).eq("id", answer_id).limit(1)
            rows = run(query)
            if rows and rows[0]["status"] == "streaming":
                return None
            parts = parts_of(ended_of(rows[0])) if rows else [{"type": "abort"}]
            return parts[-1:] if is_stored else parts

        return Follower(self._reader, answer_id, ended)

    def pair(self, caller: Caller, asked: Asked) -> Sequence[Mapping[str, Any]]:
        """The question's and the answer's row.

        :raise NotFound: they were deleted meanwhile
        """
        query = self._database.user(caller.token).from_("messages").select(MESSAGE_COLUMNS)
        rows = {row["id"]: row for row in run(query.in_("id", list(asked)))}
        if len(rows) != len(asked):
            raise NotFound
        return [rows[message_id] for message_id in asked]


def ended_of(row: Mapping[str, Any]) -> Ended:
    """An answer that has ended, from its row."""
    return Ended(
        answer_id=row["id"],
        status=row["status"],
        text=row["content"],
        finish_reason=row["finish_reason"],
        error_code=row["error_code"],
        parts=[source_part(one["number"], one["title"], one.get("url")) for one in row["citations"]],
    )
