"""The earlier turns of a thread, as many as the model's window holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functions.shared.llm.client import Message
from functions.shared.llm.usage import estimated_tokens


def turns_of(messages: Sequence[Mapping[str, Any]]) -> list[list[Message]]:
    """Each question with its newest answer that has text. A question that was not answered is left out."""
    answers = {
        message["parent_id"]: message
        for message in messages
        if message["role"] == "assistant" and message["content"].strip() and message["status"] != "failed"
    }
    return [
        [
            {"role": "user", "content": message["content"]},
            {"role": "assistant", "content": answers[message["id"]]["content"]},
        ]
        for message in messages
        if message["role"] == "user" and message["id"] in answers
    ]


def trimmed(turns: Sequence[Sequence[Message]], max_tokens: int) -> tuple[list[Message], bool]:
    """The newest turns that fit, oldest first, and whether older ones were left out. A turn is never cut."""
    kept: list[Sequence[Message]] = []
    left = max_tokens
    for turn in reversed(turns):
        left -= sum(estimated_tokens(message["content"]) for message in turn)
        if left < 0:
            break
        kept.insert(0, turn)
    return [message for turn in kept for message in turn], len(kept) < len(turns)
