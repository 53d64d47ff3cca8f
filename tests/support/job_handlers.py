"""Handlers for tests of the worker: what a job of type ``week_notes`` does stands in its payload.

Every attempt first leaves a line ``<number> <process id>`` in the payload's ``log`` file, if there is one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from functions.shared.crypto import DecryptionFailed
from functions.shared.database import rpc
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure

TYPE = "week_notes"


def succeed(context: JobContext) -> Mapping[str, Any]:
    """Ends at once with its input as result."""
    return {"payload": dict(context.job.payload), "attempt": context.job.retry_count + 1}


def say_nothing(_: JobContext) -> None:
    """Ends without a result."""


def fail(context: JobContext) -> None:
    """Fails as the payload says."""
    payload = context.job.payload
    raise JobFailure(
        payload.get("code", "broken"),
        "It broke.",
        retryable=payload.get("retryable", True),
        retry_after_s=payload.get("retry_after_s"),
        detail="in a test",
    )


def lack_a_key(_: JobContext) -> None:
    """Needs a secret that nobody can open any more."""
    raise DecryptionFailed


def crash(_: JobContext) -> None:
    """Raises something nobody foresaw, with a secret in it."""
    raise ZeroDivisionError("secret words")


def hang(context: JobContext) -> None:
    """Never looks up from its work."""
    time.sleep(context.job.payload["seconds"])


def wait_for(context: JobContext) -> Mapping[str, Any]:
    """Succeeds as soon as a file is there."""
    while not Path(context.job.payload["file"]).exists():
        time.sleep(0.01)
    return succeed(context)


def step(context: JobContext) -> Mapping[str, Any]:
    """Works in small steps, shows how far it is, and looks whether it may go on."""
    until = time.monotonic() + context.job.payload["seconds"]
    steps = 0
    while time.monotonic() < until:
        context.check_cancelled()
        steps += 1
        context.progress({"steps": steps})
        time.sleep(0.05)
    return {"steps": steps}


def write_nul(_: JobContext) -> Mapping[str, Any]:
    """A result that Postgres would not take as it is."""
    return {"a\x00b": ["c\x00d", "\ud800", {"e": "f\x00"}]}


def write_strange(_: JobContext) -> Mapping[str, Any]:
    """A result with things JSON does not know."""
    return {"path": Path("x\x00"), "number": float("nan")}


def write_huge(_: JobContext) -> Mapping[str, Any]:
    """A result that cannot even be written down."""
    return {"number": 10**5000}


def apply(context: JobContext) -> Mapping[str, Any]:
    """Has an effect in the database, as handlers are told to: once, however often it runs."""
    job = context.job
    rpc(context.database.service(), "chaos_apply", {"p_job_id": job.job_id, "p_lease_token": job.lease_token})
    time.sleep(job.payload["seconds"])
    return {"applied": True}


DEEDS: Mapping[str, Callable[[JobContext], Mapping[str, Any] | None]] = {
    deed.__name__: deed
    for deed in (
        succeed,
        say_nothing,
        fail,
        lack_a_key,
        crash,
        hang,
        wait_for,
        step,
        write_nul,
        write_strange,
        write_huge,
        apply,
    )
}


def run(context: JobContext) -> Mapping[str, Any] | None:
    """Does what the payload says."""
    log = context.job.payload.get("log")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{context.job.retry_count + 1} {os.getpid()}\n")
    return DEEDS[context.job.payload["do"]](context)


def register(registry: HandlerRegistry) -> None:
    """For ``python -m functions.worker --handlers``."""
    registry.add(TYPE, run)
