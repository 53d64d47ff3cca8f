"""Reads the body of an answer, streamed or whole, from any server that means OpenAI's form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from functions.shared.llm import errors
from functions.shared.llm.refusals import by_words
from functions.shared.llm.usage import Used

log = structlog.get_logger(__name__)

MAX_BODY_CHARACTERS = 4_000_000
TEXT_PARTS = (None, "text", "output_text")
# finish reasons as servers name them, in lower case with underscores
COMPLETE = frozenset({
    "stop", "eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_token", "finish", "finished", "complete",
    "completed", "done", "tool_calls", "function_call",
})  # fmt: skip
CUT = frozenset({
    "length", "max_tokens", "model_length", "max_output_tokens", "max_length", "token_limit", "max_new_tokens",
})  # fmt: skip
FILTERED = frozenset({
    "content_filter", "content_filtered", "safety", "recitation", "sensitive", "blocklist", "prohibited_content",
    "spii", "filter", "filtered", "guardrail_intervened", "image_safety",
})  # fmt: skip
BROKEN = frozenset({
    "error", "network_error", "abort", "aborted", "cancelled", "canceled", "timeout", "interrupted",
})  # fmt: skip
BUSY = frozenset(["insufficient_system_resource", "overloaded"])


def finish_error(reason: str) -> errors.ModelError | None:
    """The error of a finish reason, whatever its case and dashes. None when the answer is complete."""
    word = re.sub(r"[\s-]+", "_", reason.strip().lower()).removeprefix("finish_reason_")
    if word in CUT:
        return errors.Truncated()
    if word in FILTERED:
        return errors.ContentFiltered()
    if word == "refusal":
        return errors.Refused()
    if word in BROKEN:
        return errors.Interrupted()
    if word in BUSY:
        return errors.ProviderUnavailable()
    if word not in COMPLETE:
        log.info("finish_reason_unknown", finish_reason=word[:40])
    return None


@dataclass
class Answer:
    """What was read of an answer so far.

    :param on_text: gets the text as it arrives
    """

    on_text: Callable[[str], None]
    usage: Used | None = None
    finish_reason: str | None = None
    is_refused: bool = False
    is_done: bool = False  # the stream ended as it should, or the body is whole
    has_begun: bool = False
    has_text: bool = False
    thoughts: list[str] = field(default_factory=list)  # text in the field for thoughts

    def read(self, lines: Iterator[str]) -> None:
        """Reads a body line by line until it ends.

        :raise ModelError: it is no answer, or tells of an error
        """
        whole: list[str] = []
        size = 0
        for line in lines:
            size += len(line)
            if size > MAX_BODY_CHARACTERS:
                raise errors.InvalidResponse("The model's answer is too long. Try again.")
            if whole or (not self.has_begun and line.lstrip()[:1] in ("{", "[", "<")):
                # a body in one piece, though a stream was asked for
                whole.append(line)
                continue
            name, _, data = line.partition(":")
            if name != "data" or not data.strip():
                continue
            if data.strip().startswith("[DONE]"):
                self.is_done = True
                return
            self.take(_loaded(data), "delta")
        if whole:
            self.take(_loaded("\n".join(whole)), "message")
            self.is_done = True

    def take(self, part: Any, kind: str) -> None:
        """Reads an event (``delta``) or a whole body (``message``)."""
        if isinstance(part, list) and part and isinstance(part[0], dict):
            part = part[0]
        if not isinstance(part, dict):
            raise errors.InvalidResponse()
        if part.get("error") or (part.get("object") == "error") or ("detail" in part and "choices" not in part):
            raise self._failure(part, kind)
        # some servers send it with every event, and the last one counts
        self.usage = Used.reported(part.get("usage")) or self.usage
        choices = part.get("choices")
        if not isinstance(choices, list) or not choices:
            if kind == "message":
                raise errors.InvalidResponse()
            return
        choice = choices[0] if isinstance(choices[0], dict) else {}
        content = choice.get(kind) or choice.get("message") or choice.get("delta") or {}
        self.has_begun = True
        if isinstance(content, dict):
            self.is_refused = self.is_refused or bool(content.get("refusal"))
            text = _text(content.get("content"))
            self.thoughts.append(_text(content.get("reasoning_content") or content.get("reasoning")))
        else:
            text = _text(content)
        text = text or _text(choice.get("text"))
        if text:
            self.has_text = True
            self.on_text(text)
        if choice.get("finish_reason"):
            self.finish_reason = str(choice["finish_reason"])

    def _failure(self, part: dict[str, Any], kind: str) -> errors.ModelError:
        failure = by_words(part)
        if failure is not None and not isinstance(failure, errors.FormatUnsupported):
            return failure
        if failure is not None and not self.has_begun:
            return failure
        if self.has_begun:
            return errors.Interrupted()
        return errors.InvalidResponse() if kind == "message" else errors.ProviderUnavailable()


def _text(content: Any) -> str:
    """The text of a content: a string, or a list of parts of which some are thoughts."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("text")) if content.get("type") in TEXT_PARTS else ""
    return "".join(_text(part) for part in content) if isinstance(content, list) else ""


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidResponse() from error
