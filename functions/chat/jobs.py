"""The handlers of this service: ``chat_answer`` here, ``content_source`` in reading.py, ``content_generation`` in
generating.py, ``canvas_courses_cache`` in canvas.py.

Payload of an answer: ``{"message_id", "class_id", "content_source_ids"}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from functions.chat.canvas import refresh_courses
from functions.chat.generating import generate
from functions.chat.grounding import ground
from functions.chat.history import trimmed, turns_of
from functions.chat.reading import read_source
from functions.shared.answers.marks import MarkFilter
from functions.shared.answers.run import Answer, AnswerRun, Ending, State, TextFilter
from functions.shared.database import rpc
from functions.shared.jobs import HandlerRegistry, JobContext
from functions.shared.llm.client import Message
from functions.shared.llm.embeddings import query_vector
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.usage import estimated_tokens

# of the model's window: for the answer, and of the rest for material; history gets what is left
ANSWER_SHARE = 0.25
MATERIAL_SHARE = 0.6
# an estimate may be too low
RESERVE_SHARE = 0.2
MAX_TITLE_CHARACTERS = 60


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("chat_answer", answer, is_answer=True)
    registry.add("content_source", read_source)
    registry.add("content_generation", generate)
    registry.add("canvas_courses_cache", refresh_courses)


def answer(context: JobContext) -> Mapping[str, Any]:
    """Writes an answer; see :class:`functions.shared.answers.run.AnswerRun` for how it ends."""
    return AnswerRun(context, ChatAnswer(context)).work()


def prompt() -> Prompt:
    """The prompt files beside this module."""
    return load_prompt(Path(__file__).parent / "prompts")


class ChatAnswer(Answer):
    """A message of the assistant in a teacher's thread."""

    agent_type = "assistant"

    def __init__(self, context: JobContext) -> None:
        payload = context.job.payload
        self.stream_id = str(payload["message_id"])
        self._class_id: str | None = payload.get("class_id")
        self._source_ids: Sequence[str] = payload.get("content_source_ids") or ()
        self._context = context
        self._service = context.database.service()
        self._window = context.settings.model_context_tokens
        self._prompt = prompt()
        self.prompt_version = self._prompt.version

    def load(self) -> State:
        """Reads the message, its question and its thread. The owner of the thread is whose rows are used."""
        row = rpc(self._service, "svc_load_answer", {"p_message_id": self.stream_id}, safe=True)
        return State(row["status"], row["seq"], row["attempts"], row["text"], row["user_id"], row)

    def prepare(self, state: State) -> tuple[Sequence[Message], TextFilter]:
        """The conversation so far, the material, the question."""
        parts, row = self._prompt.parts, state.row
        question, wants_title = row["question"] or "", row["title"] is None
        fixed = estimated_tokens(parts["system"] + parts["question"] + parts["title"] + question)
        room = max(0, int(self._window * (1 - ANSWER_SHARE) * (1 - RESERVE_SHARE)) - fixed)
        grounding = ground(
            self._service,
            state.user_id,
            question,
            class_id=self._class_id,
            source_ids=self._source_ids,
            has_sources=row["has_sources"],
            meaning=lambda: query_vector(
                self._context.settings, self._service, self._context.clock, state.user_id, question
            ),
            max_tokens=int(room * MATERIAL_SHARE),
        )
        material = grounding.text(DataBlocks())
        history, is_cut = trimmed(turns_of(row["history"]), room - estimated_tokens(material))
        asked = [parts["earlier"]] if is_cut else []
        asked += [material] if material else []
        asked += [f"{parts['question']}\n\n{question}"]
        asked += [parts["title"]] if wants_title else []
        messages: list[Message] = [
            {"role": "system", "content": parts["system"]},
            *history,
            {"role": "user", "content": "\n\n".join(asked)},
        ]
        return messages, MarkFilter(grounding.passages, wants_title)

    def end_call(self, state: State, ending: Ending, model: str, seq: int) -> tuple[str, Mapping[str, Any]]:
        """Ends the message; a thread without a title gets one with its first answer."""
        title = None
        if ending.status in ("complete", "interrupted") and state.row["title"] is None:
            title = ending.filter.title() or cut(state.row["question"] or "")
        return "svc_finish_answer", {
            "p_message_id": self.stream_id,
            "p_status": ending.status,
            "p_content": ending.content,
            "p_finish_reason": ending.finish_reason,
            "p_citations": list(ending.filter.citations()),
            "p_metrics": dict(ending.metrics),
            "p_error_code": None if ending.error is None else ending.error.code,
            "p_error_message": None if ending.error is None else ending.error.message,
            "p_model": model,
            "p_prompt_version": self.prompt_version,
            "p_seq": seq,
            "p_parts": list(ending.filter.parts()),
            "p_title": title,
        }


def cut(question: str) -> str | None:
    """The beginning of a question, as the title of its thread."""
    line = " ".join(question.split())
    if len(line) <= MAX_TITLE_CHARACTERS:
        return line or None
    short = line[:MAX_TITLE_CHARACTERS]
    return (short.rpartition(" ")[0] or short) + "…"
