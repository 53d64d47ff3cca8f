"""What the routes of all services with answers have in common: the stream of an answer, and waiting for it in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Response, request

from functions.shared.answers.following import Follower
from functions.shared.errors import NotAcceptable
from functions.shared.web.context import context
from functions.shared.web.operations import Header
from functions.shared.web.slots import Slot
from functions.shared.web.streams import event_stream, last_seq

# somewhat longer than the worker takes at most: a deadline of the model, and the time until it begins
MAX_WAIT_SECONDS = 300.0
MESSAGE_STREAM = {"x-vercel-ai-ui-message-stream": "v1"}
ACCEPT = Header("Accept", "text/event-stream, the default, or application/json.", {"type": "string"})


def example(answer_id: str, text: str) -> str:
    """A stream as it is shown in the API page."""
    return (
        "retry: 3000\n\n"
        f'id: {answer_id}:1\ndata: {{"type":"start","messageId":"{answer_id}"}}\n\n'
        f'id: {answer_id}:3\ndata: {{"type":"start-step"}}\n\n'
        f'id: {answer_id}:4\ndata: {{"type":"text-start","id":"text"}}\n\n'
        f'id: {answer_id}:5\ndata: {{"type":"text-delta","id":"text","delta":"{text}"}}\n\n'
        f'id: {answer_id}:6\ndata: {{"type":"text-end","id":"text"}}\n\n'
        f'id: {answer_id}:7\ndata: {{"type":"finish","finishReason":"stop"}}\n\n'
        "data: [DONE]\n\n"
    )


def accepted() -> str:
    """The media type in which the client wants an answer.

    :raise NotAcceptable: it wants neither of the two that there are
    """
    wanted = request.accept_mimetypes.best_match(["text/event-stream", "application/json"])
    if wanted is None:
        raise NotAcceptable
    return wanted


def answered(ask: Callable[[], tuple[str, Follower]], whole: Callable[[str], Any]) -> Any:
    """Asks, and answers with the stream, or with JSON when the answer has ended, as ``Accept`` wishes.

    :param ask: stores the question; the answer's id and what follows it
    :param whole: the JSON of the answer with this id
    :raise NotAcceptable: neither is accepted, and nothing was asked
    :raise TooManyStreams: this process serves as many as it may, and nothing was asked
    """
    wanted = accepted()
    # before anything is stored, so that a refusal changes nothing
    with held_slot() as slot:
        answer_id, follower = ask()
        if wanted == "application/json":
            follower.wait(context().clock, MAX_WAIT_SECONDS)
            slot.give_back()
            return whole(answer_id)
        return stream(answer_id, follower, slot)


@contextmanager
def held_slot() -> Iterator[Slot]:
    """A slot for a stream, given back when the block fails; a response that was made of it gives it back itself."""
    slot = context().slots.take()
    try:
        yield slot
    except BaseException:
        slot.give_back()
        raise


def stream(answer_id: str, follower: Follower, slot: Slot) -> Response:
    """The response that follows an answer."""
    after = follower.start(last_seq(answer_id))
    return event_stream(answer_id, follower.look, after=after, idle_seconds=0, headers=MESSAGE_STREAM, slot=slot)


def nothing_to_follow() -> Response:
    """The response where no answer is being written."""
    return Response(status=204, headers=MESSAGE_STREAM)
