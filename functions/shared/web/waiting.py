"""``?wait=N`` holds an answer until the job ends or N seconds have passed."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from functions.shared import jobs
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.schemas import Request
from functions.shared.web.slots import TooManyStreams


class WaitQuery(Request):
    """How long to hold the answer."""

    wait: float = Field(
        default=0, ge=0, le=30, description="Holds the answer until the job ends or this many seconds pass."
    )


def wait_for_job(job_id: str, seconds: float) -> dict[str, Any] | None:
    """As :func:`functions.shared.jobs.wait_for_job`, with the rights of the current request's caller.

    Waiting holds a thread, as a stream does. When there are as many as there may be, it looks once.
    """
    known = context()
    client = known.database.user(current_caller().token)
    try:
        slot = known.slots.take()
    except TooManyStreams:
        return jobs.wait_for_job(job_id, 0, client=client, clock=known.clock)
    try:
        return jobs.wait_for_job(job_id, seconds, client=client, clock=known.clock)
    finally:
        slot.give_back()
