"""What a handler is given, and how long a caller waits for a job."""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.http import Http
from functions.shared.jobs import HandlerRegistry, Job, JobCancelled, JobContext, JobFailure
from functions.shared.settings import Settings
from tests.support.clocks import HeldClock

ROW = {
    "job_id": "7b7e7d5e-0000-4000-8000-000000000001",
    "type": "canvas_sync",
    "user_id": None,
    "week_id": None,
    "payload": None,
    "retry_count": 3,
    "max_retries": 3,
    "timeout_s": 60,
    "lease_token": "hush",
    "locked_until": "2026-01-01T00:00:00Z",
    "provider_wait_ms": None,
}


def given(settings: Settings, clock: HeldClock, **changes: Any) -> JobContext:
    fields: dict[str, Any] = {
        "job": Job.from_row(ROW),
        "settings": settings,
        "database": Database(settings),
        "http": Http.of(settings),
        "crypto": Envelope(settings.encryption_keys),
        "clock": clock,
        "deadline": clock.monotonic() + 60,
        "on_progress": lambda progress: None,
        "on_check": lambda: None,
    }
    return JobContext(**fields | changes)


def test_a_claimed_row_becomes_a_job() -> None:
    job = Job.from_row(ROW)
    assert (job.payload, job.provider_wait_ms) == ({}, 0)
    assert "hush" not in repr(job)


def test_progress_and_cancelling_reach_the_worker(settings: Settings, clock: HeldClock) -> None:
    seen: list[Any] = []

    def cancelled() -> None:
        raise JobCancelled

    context = given(settings, clock, on_progress=seen.append, on_check=cancelled)
    context.progress({"done": 1})
    assert seen == [{"done": 1}]
    with pytest.raises(JobCancelled):
        context.check_cancelled()


def test_a_job_ends_at_its_deadline(settings: Settings, clock: HeldClock) -> None:
    context = given(settings, clock)
    context.check_cancelled()
    assert context.remaining_seconds() == 60
    clock.sleep(61)
    assert context.remaining_seconds() == 0
    with pytest.raises(JobFailure) as caught:
        context.check_cancelled()
    assert caught.value.code == "deadline_exceeded"
    assert caught.value.retryable


def test_a_type_has_one_handler() -> None:
    registry = HandlerRegistry()

    @registry.handler("b")
    def second(context: JobContext) -> None:
        """Nothing."""

    registry.add("a", second)
    assert registry.types == ("a", "b")
    assert registry.get("b") is second
    with pytest.raises(ValueError, match="two handlers"):
        registry.add("a", second)
    with pytest.raises(KeyError):
        registry.get("c")
