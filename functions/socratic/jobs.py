"""The handlers of this service: ``socratic_answer`` here, ``socratic_insights`` in insights.py.

Payload of an answer: ``{"message_id", "session_id"}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from functions.shared.answers.run import Answer, AnswerRun, Ending, State, TextFilter
from functions.shared.database import rpc
from functions.shared.jobs import HandlerRegistry, JobContext
from functions.shared.llm.client import Message
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.usage import estimated_tokens, first_tokens
from functions.socratic.checking import Checker, Given
from functions.socratic.insights import find_insights
from functions.socratic.turn import Turn
from functions.socratic.voice import heard, speak

# of the model's window: for the answer, and for what estimates miss
ANSWER_SHARE = 0.25
RESERVE_SHARE = 0.2
# enough to tell a language by
MAX_SAMPLE_TOKENS = 200


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("socratic_answer", answer, is_answer=True)
    registry.add("socratic_insights", find_insights)


def answer(context: JobContext) -> Mapping[str, Any]:
    """Writes the agent's turn; see :class:`functions.shared.answers.run.AnswerRun` for how it ends. Then speaks it."""
    turn = SocraticAnswer(context)
    result = AnswerRun(context, turn).work()
    speak(context, turn.stream_id)
    return result


def prompt() -> Prompt:
    """The prompt files beside this module."""
    return load_prompt(Path(__file__).parent / "prompts")


class SocraticAnswer(Answer):
    """A turn of the agent in a learner's session."""

    agent_type = "socratic"

    def __init__(self, context: JobContext) -> None:
        payload = context.job.payload
        self._context = context
        self.stream_id = str(payload["message_id"])
        self.session_id = str(payload["session_id"])
        self._service = context.database.service()
        self._window = context.settings.model_context_tokens
        self._prompt = prompt()
        self.prompt_version = self._prompt.version
        self._messages: list[Message] = []
        self._line = ""

    def load(self) -> State:
        """Reads the message, its line and its session. The learner is whose rows are used."""
        row = rpc(self._service, "svc_load_socratic", {"p_message_id": self.stream_id}, safe=True)
        return State(row["status"], row["seq"], row["attempts"], row["text"], row["user_id"], row)

    def prepare(self, state: State) -> tuple[Sequence[Message], TextFilter]:
        """The dialogue so far and the learner's line. Answers of practice are only checked against, never sent."""
        parts, row = self._prompt.parts, state.row
        line, blocks = row["line"]["content"] or "", DataBlocks()
        if not line and row["line"]["audio_url"]:
            line = heard(self._context, row["line"])
        # a line of formulas alone has no language
        self._line = line if any(map(str.isalpha, line)) else row["topic"]
        is_first = row["turns"] == 0
        topic = f"{parts['topic']}\n{blocks.block('topic', row['topic'])}"
        system = "\n\n".join([parts["system"], topic, blocks.rule()])
        asked = [parts["first"]] if is_first else []
        asked.append(f"{parts['line']}\n\n{line}")
        fixed = estimated_tokens(system + "".join(asked))
        room = max(0, int(self._window * (1 - ANSWER_SHARE) * (1 - RESERVE_SHARE)) - fixed)
        self._messages = [
            {"role": "system", "content": system},
            *_newest(row["history"], room),
            {"role": "user", "content": "\n\n".join(asked)},
        ]
        said = "\n\n".join([row["topic"], *(one["content"] for one in row["history"] if one["role"] == "user"), line])
        exercises = [one["question"] for one in row["practice"]]
        answers = [one for practice in row["practice"] for one in practice["answers"]]
        return self._messages, Turn(Checker(Given(said, exercises, answers, is_first)), row["turns"])

    def revise(self, written: TextFilter) -> Sequence[Message] | None:
        """The request to write a turn once more that may not be shown; then, for a safe question in its place."""
        assert isinstance(written, Turn)
        parts = self._prompt.parts
        if written.drafts > 1:
            question = written.begin_safe_question()
            return None if question is None else self._translation(question)
        draft, faults = written.begin_repair()
        if not faults:
            return None
        asked = "\n".join([parts["repair"], *(parts[fault] for fault in faults)])
        shown: list[Message] = [{"role": "assistant", "content": draft}] if draft else []
        return [*self._messages, *shown, {"role": "user", "content": asked}]

    def _translation(self, question: str) -> Sequence[Message]:
        """The request to put a question into the learner's language. Of the dialogue it has their last line alone."""
        blocks = DataBlocks()
        sample = first_tokens(self._line, MAX_SAMPLE_TOKENS)
        asked = [blocks.rule(), blocks.block("sample", sample), blocks.block("question", question)]
        return [
            {"role": "system", "content": self._prompt.parts["translate"]},
            {"role": "user", "content": "\n\n".join(asked)},
        ]

    def end_call(self, state: State, ending: Ending, model: str, seq: int) -> tuple[str, Mapping[str, Any]]:
        """Ends the message and counts the session's questions."""
        return "svc_finish_socratic", {
            "p_message_id": self.stream_id,
            "p_status": ending.status,
            "p_content": ending.content,
            "p_finish_reason": ending.finish_reason,
            "p_metrics": dict(ending.metrics),
            "p_error_code": None if ending.error is None else ending.error.code,
            "p_error_message": None if ending.error is None else ending.error.message,
            "p_model": model,
            "p_prompt_version": self.prompt_version,
            "p_seq": seq,
        }


def _newest(history: Sequence[Mapping[str, Any]], max_tokens: int) -> list[Message]:
    """The newest lines that fit, oldest first."""
    kept: list[Message] = []
    for line in reversed(history):
        max_tokens -= estimated_tokens(line["content"])
        if max_tokens < 0:
            break
        kept.insert(0, {"role": line["role"], "content": line["content"]})
    return kept
