"""Event streams: ids, resume, heartbeats, one end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apiflask import APIBlueprint

from functions.shared.errors import Unavailable
from functions.shared.events import Batch, Event
from functions.shared.settings import Settings
from functions.shared.web.application import create_service
from functions.shared.web.operations import Access, operation
from functions.shared.web.streams import event_stream, tail
from tests.support.clocks import HeldClock

STORED = [
    Event(1, {"type": "status", "status": "running"}),
    Event(2, {"type": "text-delta", "delta": "Grüße\n\ndata: x"}),
    Event(3, {"type": "finish"}),
]


def stored(after: int) -> Batch:
    """A run that has finished."""
    return Batch([event for event in STORED if event.seq > after], True)


def read(frames: str) -> list[tuple[str | None, Any]]:
    """Events as a browser takes them apart."""
    events = []
    for block in frames.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            data = fields["data"]
            events.append((fields.get("id"), data if data == "[DONE]" else json.loads(data)))
    return events


def ask(settings: Settings, last: str | None) -> Any:
    routes = APIBlueprint("live", __name__)

    @routes.get("/events")
    @operation("Open to all", access=Access.PUBLIC)
    def events() -> Any:
        return event_stream("run-1", stored)

    client = create_service("live", routes, settings).test_client()
    headers = {} if last is None else {"Last-Event-ID": last}
    return client.get("/functions/v1/live/events", headers=headers)


def test_a_finished_run_replays(settings: Settings) -> None:
    answer = ask(settings, None)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "no-cache" in answer.headers["Cache-Control"]
    expected = [(f"run-1:{event.seq}", event.data) for event in STORED]
    assert read(answer.text) == [*expected, (None, "[DONE]")]


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("run-1:1", 2),
        ("run-1:3", None),
        ("run-2:1", 1),
        ("nonsense", 1),
        ("run-1:", 1),
        ("run-1:-1", 1),
        ("run-1:" + "9" * 30, 1),
    ],
)
def test_it_resumes_behind_the_last_event_seen(settings: Settings, last: str, first: int | None) -> None:
    events = read(ask(settings, last).text)
    assert events[-1] == (None, "[DONE]")
    assert (events[0][0] if len(events) > 1 else None) == (None if first is None else f"run-1:{first}")


def test_while_nothing_happens_a_heartbeat_is_sent_every_15_seconds(clock: HeldClock) -> None:
    began = clock.monotonic()

    def late(after: int) -> Batch:
        return stored(after) if clock.monotonic() - began > 50 else Batch((), False)

    frames = list(tail("run-1", late, 0, clock, 15, 0.25))
    assert frames.count(": heartbeat\n\n") == 3
    assert [event_id for event_id, _ in read("".join(frames))] == ["run-1:1", "run-1:2", "run-1:3", None]


def test_a_short_outage_is_waited_out(clock: HeldClock) -> None:
    calls = 0

    def shaky(after: int) -> Batch:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise Unavailable
        return Batch(STORED[after : after + 1], after >= 2)

    events = read("".join(tail("run-1", shaky, 0, clock, 15, 0.25)))
    assert [event_id for event_id, _ in events] == ["run-1:1", "run-1:2", "run-1:3", None]


def test_a_long_outage_ends_the_stream_without_an_end_event(clock: HeldClock) -> None:
    def dead(after: int) -> Batch:
        raise Unavailable

    assert read("".join(tail("run-1", dead, 0, clock, 15, 0.25))) == []


def test_a_stream_does_not_live_for_ever(clock: HeldClock) -> None:
    began = clock.monotonic()
    frames = list(tail("run-1", lambda after: Batch((), False), 0, clock, 15, 0.25))
    assert clock.monotonic() - began < 1000
    assert "[DONE]" not in "".join(frames)
