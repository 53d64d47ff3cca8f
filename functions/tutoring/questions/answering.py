"""The handler of ``question_answer``, payload ``{"question_id": ..., "period_start": ...}``.

The run itself, with its stream, limits and endings, is ``shared/answers/run.py``. Here is what a question is asked
with, what is held back, and what is said about the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from functions.shared.answers.marks import MarkFilter
from functions.shared.answers.run import Answer, AnswerRun, Ending, State, TextFilter
from functions.shared.database import rpc
from functions.shared.errors import AppError, Unavailable
from functions.shared.jobs import JobContext
from functions.shared.llm.client import Message
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.usage import estimated_tokens, first_tokens
from functions.tutoring.questions.confidence import FEATURES, Verdict, Written, judge
from functions.tutoring.questions.guarding import AnswerGuard, GuardedFilter
from functions.tutoring.questions.retrieval import Evidence, Retrieved, retrieve
from functions.tutoring.questions.shown import confidence_part

log = structlog.get_logger(__name__)

# of the model's window: for the answer and as a reserve, because an estimate may be too low
ROOM_SHARE = 0.6
TASK_SHARE = 0.3
MARKS = ("clarify", "scope")
MAX_CLARIFICATION_CHARACTERS = 500


def answer_question(context: JobContext) -> Mapping[str, Any]:
    """Writes the answer to a question; see :class:`functions.shared.answers.run.AnswerRun` for how it ends."""
    return AnswerRun(context, QuestionAnswer(context)).work()


def prompt() -> Prompt:
    """The prompt files beside this module."""
    return load_prompt(Path(__file__).parent / "prompts")


def messages_of(
    question: str, retrieved: Retrieved, subjects: Sequence[str], task: str | None = None
) -> Sequence[Message]:
    """What the model is asked."""
    parts, blocks = prompt().parts, DataBlocks()
    data = [blocks.block("subjects", "\n".join(subjects))] if subjects else []
    data += [blocks.block("assignment", task)] if task else []
    data += [
        blocks.block(f"source_{one.number}", f"Source {one.number}: {one.title}\n\n{one.text}")
        for one in retrieved.passages
    ]
    asked = [blocks.rule(), *data] if data else []
    return [
        {"role": "system", "content": parts["system"]},
        {"role": "user", "content": "\n\n".join([*asked, f"{parts['question']}\n\n{question}"])},
    ]


def written_of(marks: MarkFilter, finish_reason: str | None) -> Written:
    """What is known of an answer when it has ended."""
    clarification = marks.said("clarify")
    return Written(
        cited=[str(one.source["chunk_id"]) for one in marks.cited()],
        dropped=int(marks.metrics()["citations_dropped"]),
        finish_reason=finish_reason,
        clarification=clarification and clarification[:MAX_CLARIFICATION_CHARACTERS],
        said_scope=marks.said("scope"),
    )


class QuestionAnswer(Answer):
    """The answer to one question of a student."""

    agent_type = "tutor_companion"

    def __init__(self, context: JobContext) -> None:
        self.stream_id = str(context.job.payload["question_id"])
        self._context = context
        self._service = context.database.service()
        self.prompt_version = prompt().version
        self._evidence = Evidence([], 0, [])
        self._guarded: GuardedFilter | None = None

    def load(self) -> State:
        """Reads the question. Its student is whose material and open work count."""
        row = rpc(self._service, "svc_load_question", {"p_question_id": self.stream_id}, safe=True)
        return State(row["status"], row["seq"], row["attempts"], row["text"], row["user_id"], row)

    def prepare(self, state: State) -> tuple[Sequence[Message], TextFilter]:
        """The material that speaks to the question, the named assignment without its solutions, the question."""
        row = state.row
        keys = rpc(self._service, "svc_question_keys", {"p_student_id": state.user_id}, safe=True)
        guard = AnswerGuard(keys, row["question"], row["assignment_id"])
        window = self._context.settings.model_context_tokens
        fixed = estimated_tokens(prompt().parts["system"] + row["question"])
        room = max(0, int(window * ROOM_SHARE) - fixed)
        task = None if guard.task is None else first_tokens(guard.task, int(room * TASK_SHARE))
        retrieved = self._retrieved(state, room - estimated_tokens(task or ""))
        self._evidence = retrieved.evidence
        self._guarded = GuardedFilter(MarkFilter(retrieved.passages, False, MARKS), guard)
        return messages_of(row["question"], retrieved, row["subjects"], task), self._guarded

    def _retrieved(self, state: State, max_tokens: int) -> Retrieved:
        context, row = self._context, state.row
        try:
            return retrieve(
                context.settings,
                self._service,
                context.clock,
                state.user_id,
                row["question"],
                courses=row["catalog_course_ids"],
                subjects=row["subjects"],
                max_tokens=max_tokens,
            )
        except Unavailable:
            # the queue tries again
            raise
        except AppError as error:
            log.warning("question_not_searched", question_id=self.stream_id, error_code=error.code)
            return Retrieved([], Evidence([], 0, [], is_searched=False))

    def end_call(self, state: State, ending: Ending, model: str, seq: int) -> tuple[str, Mapping[str, Any]]:
        """Ends the row with what is said about the answer."""
        told: dict[str, Any] = {}
        metrics, parts = dict(ending.metrics), list(ending.filter.parts())
        if ending.status == "complete" and self._guarded is not None:
            written = written_of(self._guarded.marks, ending.finish_reason)
            args = {"p_subject_id": state.row["subject_id"], "p_features": FEATURES}
            rows = rpc(self._service, "svc_get_calibrator", args, safe=True)
            verdict = judge(self._evidence, written, rows[0]["steps"] if rows else None)
            told = verdict_of(verdict, written, state.row, rows[0]["version"] if rows else None)
            metrics["evidence"] = verdict.features
            parts.append(confidence_part(told))
        return "svc_finish_question", {
            "p_question_id": self.stream_id,
            "p_status": ending.status,
            "p_content": ending.content,
            "p_finish_reason": ending.finish_reason,
            "p_citations": list(ending.filter.citations()),
            "p_metrics": metrics,
            "p_error_code": None if ending.error is None else ending.error.code,
            "p_error_message": None if ending.error is None else ending.error.message,
            "p_model": model,
            "p_prompt_version": self.prompt_version,
            "p_seq": seq,
            "p_parts": parts,
            "p_verdict": told,
        }


def verdict_of(verdict: Verdict, written: Written, row: Mapping[str, Any], version: int | None) -> dict[str, Any]:
    """The verdict as ``svc_finish_question`` takes it. An unsure answer asks back, else it offers the tutor."""
    clarification = None if verdict.out_of_scope else written.clarification
    is_unsure = verdict.label == "Low" and not verdict.out_of_scope and clarification is None
    return {
        "confidence": verdict.label,
        "confidence_score": verdict.chance,
        "raw_score": verdict.score,
        "calibrator_version": version,
        "out_of_scope": verdict.out_of_scope,
        "clarification_question": clarification,
        "tutor_escalation_suggested": is_unsure and row["has_tutor"],
        "context_subjects": [] if verdict.out_of_scope else row["subjects"],
    }
