"""The stream of an answer that has ended, made from its row: its events are kept for a day only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.shared.answers.run import TEXT_ID
from functions.shared.errors import every_error
from functions.shared.llm.errors import ModelError


@dataclass(frozen=True)
class Ended:
    """An answer that has ended.

    :param status: complete, stopped, interrupted or failed
    :param parts: what stands between its text and its end: sources, and what else the service tells
    """

    answer_id: str
    status: str
    text: str
    finish_reason: str | None
    error_code: str | None
    parts: Sequence[Mapping[str, Any]] = ()


def parts_of(ended: Ended) -> list[Mapping[str, Any]]:
    """All parts of its stream."""
    parts: list[Mapping[str, Any]] = [
        {"type": "start", "messageId": ended.answer_id},
        {"type": "start-step"},
        {"type": "text-start", "id": TEXT_ID},
        {"type": "text-delta", "id": TEXT_ID, "delta": ended.text},
        {"type": "text-end", "id": TEXT_ID},
        *ended.parts,
    ]
    match ended.status:
        case "complete":
            reason = {"length": "length", "content_filter": "content-filter"}.get(ended.finish_reason or "", "stop")
            parts += [{"type": "finish-step"}, {"type": "finish", "finishReason": reason}]
        case "stopped":
            parts.append({"type": "abort"})
        case _:
            code = ended.error_code or ended.status
            parts.append({"type": "error", "code": code, "errorText": sentence(code)})
    return parts


def source_part(number: int, title: str, url: str | None, media_type: str = "text/plain") -> Mapping[str, Any]:
    """The part that names a source; ``number`` stands in the text."""
    known = {"sourceId": str(number), "title": title}
    if url:
        return {"type": "source-url", "url": url, **known}
    return {"type": "source-document", "mediaType": media_type, **known}


def sentence(code: str) -> str:
    """The sentence that belongs to the code of a model's failure."""
    kinds = {kind.code: kind for kind in every_error(ModelError)}
    return kinds.get(code, ModelError)().message
