"""Answers in a given form from any server.

Servers support different response formats, so there is a ladder: json_schema, json_object, plain. The rung that works
is remembered for each base URL and model. The answer is always checked here, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.errors import FormatUnsupported, Interrupted, InvalidResponse, ModelError
from functions.shared.llm.parsing import parse
from functions.shared.llm.refusals import OptionRefused
from functions.shared.retries import Backoff, retried

log = structlog.get_logger(__name__)

T = TypeVar("T", bound=BaseModel)

RUNGS = ("json_schema", "json_object", "plain")
BACKOFF = Backoff(first_seconds=0.5, max_seconds=20.0)
MAX_QUOTE_CHARACTERS = 4000

_rungs: dict[tuple[str, str], int] = {}


def _ignore(text: str) -> None:
    """Does nothing with the text."""


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Wanted(Generic[T]):
    """What to ask for.

    :param on_text: gets the raw text as it arrives
    :param may_repeat: asked before another call replaces what ``on_text`` got; False makes a failure final
    """

    name: str
    shape: type[T]
    messages: Sequence[Message]
    on_text: Callable[[str], None] = _ignore
    may_repeat: Callable[[], bool] = _always


def write(client: ModelClient, wanted: Wanted[T], budget: Budget) -> tuple[T, str]:
    """The checked answer, and how it was read: ``<rung>/<step>``, with ``+repair`` after a repair turn, ``+reasoning``
    when it stood in the field for thoughts, ``+unfinished`` when the server sent no finish reason.

    Calls are repeated while that may help and the budget has calls and time.

    :raise ModelError: there is no usable answer
    """
    rung = _rungs.get(client.server, 0)
    received: list[str] = []
    repair: list[Message] = []

    def ask() -> tuple[T, str]:
        received.clear()
        notes: set[str] = set()
        messages, wanted_form = [*wanted.messages, *repair], form(wanted, rung)
        for text in client.text(messages, budget, response_format=wanted_form, notes=notes):
            received.append(text)
            wanted.on_text(text)
        whole = "".join(received)
        if not whole.strip() and wanted_form is not None:
            # some servers answer a form that they do not know with nothing
            raise FormatUnsupported()
        answer, step = checked(wanted.shape, whole)
        if "unfinished" in notes and step == "repair":
            # the server did not say that this is the end, and the object does not show it
            raise Interrupted()
        # only a rung that worked is remembered
        _rungs[client.server] = rung
        marks = [*sorted(notes), *(["repair"] if repair else [])]
        return answer, "+".join([f"{RUNGS[rung]}/{step}", *marks])

    def pause(error: ModelError, failures: int) -> float | None:
        if not error.is_repeatable or not budget.calls_left or not wanted.may_repeat():
            return None
        seconds = max(BACKOFF.seconds(failures), error.retry_after or 0.0)
        return seconds if seconds <= BACKOFF.max_seconds and seconds < budget.remaining_seconds() else None

    while True:
        try:
            return retried(ask, on=ModelError, pause=pause, sleep=budget.wait)
        except FormatUnsupported:
            if rung + 1 == len(RUNGS) or not budget.calls_left:
                raise
            rung += 1
        except OptionRefused as error:
            raise InvalidResponse() from error
        except InvalidResponse as error:
            # there is one repair turn, and only if there is an answer to repair
            if repair or not received or not budget.calls_left or not wanted.may_repeat():
                raise
            repair += repair_turn("".join(received), error)


def form(wanted: Wanted[T], rung: int) -> Mapping[str, Any] | None:
    """The response format of a request on a rung of the ladder."""
    match RUNGS[rung]:
        case "json_schema":
            schema = {"name": wanted.name, "strict": True, "schema": strict_schema(wanted.shape)}
            return {"type": "json_schema", "json_schema": schema}
        case "json_object":
            return {"type": "json_object"}
        case _:
            return None


def strict_schema(shape: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model for strict servers: every object is closed, every property required."""

    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(part) for part in node]
        if not isinstance(node, dict):
            return node
        closed = {key: close(value) for key, value in node.items() if key not in ("title", "default")}
        if isinstance(node.get("properties"), dict):
            closed["properties"] = {name: close(part) for name, part in node["properties"].items()}
            closed["required"] = list(node["properties"])
            closed["additionalProperties"] = False
        return closed

    return dict(close(shape.model_json_schema()))


def checked(shape: type[T], text: str) -> tuple[T, str]:
    """The answer in a complete text, and the step that found it.

    :raise InvalidResponse: there is no such JSON, or it has another shape; the details have paths, never content
    """
    value, step = parse(text, set(shape.model_fields))
    try:
        return shape.model_validate(value), step
    except ValidationError as error:
        found = [
            {"path": ".".join(str(part) for part in one["loc"]), "code": one["type"]}
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InvalidResponse(details=found[:20]) from error


def repair_turn(text: str, error: InvalidResponse) -> list[Message]:
    """The messages that follow an unusable answer."""
    found = json.dumps(error.details) if error.details else "it is not one JSON object"
    return [
        {"role": "assistant", "content": text[:MAX_QUOTE_CHARACTERS]},
        {"role": "user", "content": f"That answer cannot be used: {found}. Answer again, with the JSON object alone."},
    ]
