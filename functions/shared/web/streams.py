"""Event streams that send stored events, so that a lost connection loses nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from flask import Response, request

from functions.shared.clock import Clock
from functions.shared.errors import Unavailable
from functions.shared.events import Batch
from functions.shared.web.context import context
from functions.shared.web.operations import Header
from functions.shared.web.slots import Slot

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0
IDLE_SECONDS = 0.25
# a longer stream is closed without a last event, and the client resumes it
MAX_STREAM_SECONDS = 900.0
RECONNECT_MS = 3000
MAX_FAILURES_IN_A_ROW = 5
LAST_EVENT_ID = Header(
    "Last-Event-ID", "The id of the last event that arrived. The stream continues after it.", {"type": "string"}
)


def last_seq(stream_id: str) -> int:
    """The number in Last-Event-ID ``<stream>:<seq>``. 0, the start, when it is malformed or of another stream."""
    name, _, number = request.headers.get("Last-Event-ID", "").rpartition(":")
    return int(number) if name == stream_id and re.fullmatch(r"[0-9]{1,18}", number) else 0


def event_stream(
    stream_id: str,
    look: Callable[[int], Batch],
    *,
    after: int | None = None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
    headers: Mapping[str, str] | None = None,
    slot: Slot | None = None,
) -> Response:
    """A response that sends what ``look(after_seq)`` finds until the stream has ended, and then ``[DONE]``.

    :param look: runs in this request's thread but outside its context, so bind what it needs beforehand
    :param after: the number after which to begin; by default that of the request's Last-Event-ID
    :param slot: taken before the work began; by default it is taken here
    :raise TooManyStreams: this process serves as many as it may
    """
    slot = slot or context().slots.take()
    start = last_seq(stream_id) if after is None else after
    frames = tail(stream_id, look, start, context().clock, heartbeat_seconds, idle_seconds)
    response = Response(frames, content_type="text/event-stream; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers.update(dict(headers or {}))
    response.call_on_close(slot.give_back)
    return response


def tail(
    stream_id: str,
    look: Callable[[int], Batch],
    after: int,
    clock: Clock,
    heartbeat_seconds: float,
    idle_seconds: float,
) -> Iterator[str]:
    """The frames of :func:`event_stream`."""
    yield f"retry: {RECONNECT_MS}\n\n"
    began = wrote = clock.monotonic()
    failures = 0
    while clock.monotonic() - began < MAX_STREAM_SECONDS:
        try:
            batch = look(after)
            failures = 0
        except Unavailable:
            failures += 1
            if failures == MAX_FAILURES_IN_A_ROW:
                log.warning("stream_closed_after_failures", stream_id=stream_id)
                return
            batch = Batch((), False)
        for event in batch.events:
            after = event.seq
            yield frame(f"{stream_id}:{event.seq}", event.data)
            wrote = clock.monotonic()
        if batch.ended:
            yield "data: [DONE]\n\n"
            return
        if not batch.events:
            if clock.monotonic() - wrote >= heartbeat_seconds:
                # writing is also how a client that went away is noticed
                yield ": heartbeat\n\n"
                wrote = clock.monotonic()
            clock.sleep(idle_seconds)


def frame(event_id: str, data: Mapping[str, Any]) -> str:
    """One event: its id and one line of JSON."""
    return f"id: {event_id}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
