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
from functions.shared.answers.run import TEXT_ID
from functions.shared.answers.waking import Waker
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import NotFound, every_error
from functions.shared.llm.errors import ModelError
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

    def __init__(self, database: Database, reader: EventReader, waker: Waker, clock: Clock) -> None:
        self._database = database
        self._reader = reader
        self._waker = waker
        self._clock = clock

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
            parts = parts_of(rows[0]) if rows else [{"type": "abort"}]
            return parts[-1:] if is_stored else parts

        return Follower(self._reader, answer_id, ended)

    def wait(self, caller: Caller, asked: Asked, seconds: float) -> Sequence[Mapping[str, Any]]:
        """Waits until the answer has ended or the time is over; the question's and the answer's row.

        :raise NotFound: they were deleted meanwhile
        """
        until = self._clock.monotonic() + seconds
        follower, after = self.follow(caller, asked.assistant_message_id), 0
        while self._clock.monotonic() < until:
            batch = follower.look(after)
            if batch.ended:
                break
            after = batch.events[-1].seq if batch.events else after
        query = self._database.user(caller.token).from_("messages").select(MESSAGE_COLUMNS)
        rows = {row["id"]: row for row in run(query.in_("id", list(asked)))}
        if len(rows) != len(asked):
            raise NotFound
        return [rows[message_id] for message_id in asked]


def parts_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stream of an answer that has ended, made from its row: its events are kept for a day only."""
    parts: list[dict[str, Any]] = [
        {"type": "start", "messageId": row["id"]},
        {"type": "start-step"},
        {"type": "text-start", "id": TEXT_ID},
        {"type": "text-delta", "id": TEXT_ID, "delta": row["content"]},
        {"type": "text-end", "id": TEXT_ID},
    ]
    for citation in row["citations"]:
        known = {"sourceId": str(citation["number"]), "title": citation["title"]}
        if citation.get("url"):
            parts.append({"type": "source-url", "url": citation["url"], **known})
        else:
            parts.append({"type": "source-document", "mediaType": "text/plain", **known})
    match row["status"]:
        case "complete":
            reason = {"length": "length", "content_filter": "content-filter"}.get(row["finish_reason"] or "", "stop")
            parts += [{"type": "finish-step"}, {"type": "finish", "finishReason": reason}]
        case "stopped":
            parts.append({"type": "abort"})
        case _:
            code = row["error_code"] or row["status"]
            parts.append({"type": "error", "code": code, "errorText": sentence(code)})
    return parts


def sentence(code: str) -> str:
    """The sentence that belongs to the code of a model's failure."""
    kinds = {kind.code: kind for kind in every_error(ModelError)}
    return kinds.get(code, ModelError)().message
