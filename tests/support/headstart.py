"""Headstart runs in tests: an assignment of a signed-up student, and the job's handler in this or another process."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from functions.headstart.jobs import write_headstart
from functions.shared.crypto import Envelope
from functions.shared.database import Database, run
from functions.shared.http import Http
from functions.shared.jobs import Job, JobCancelled, JobContext, JobFailure, LeaseLost
from functions.shared.settings import load_settings
from tests.support import rows
from tests.support.canvas import Student
from tests.support.clocks import SkippingClock

LONG_AGO = "2026-01-01T00:00:00+00:00"


def assignment(db_url: str, person: Student, **columns: Any) -> str:
    """An assignment of this person."""
    columns.setdefault("title", "The light reaction")
    columns.setdefault("description_html", "<p>Explain the light reaction of photosynthesis in your own words.</p>")
    with psycopg.connect(db_url, autocommit=True) as db:
        return str(rows.assignment(db, uuid.UUID(person.user_id), **columns))


def start(person: Student, assignment_id: str) -> dict[str, Any]:
    """POSTs a run."""
    answer = person.functions.post("/headstart/runs", json={"assignment_id": assignment_id})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def job_id(database: Database, key: str) -> str:
    """The id of the job with this key: a job runs again under its own id, by which its calls of a model are known."""
    found = run(database.service().from_("jobs").select("id").eq("dedupe_key", key))
    return str(found[0]["id"]) if found else str(uuid.uuid4())


def handle(environment: Mapping[str, str], run_id: str, user_id: str) -> str:
    """Runs the handler of the run's job once; the status, the failure's code, ``cancelled`` or ``lost``."""
    settings, clock = load_settings(environment), SkippingClock()
    database, http = Database(settings), Http.of(settings)
    job = Job(
        job_id(database, f"headstart:{run_id}"),
        "headstart",
        user_id,
        None,
        {"run_id": run_id},
        0,
        3,
        600,
        "",
        LONG_AGO,
        0,
    )
    context = JobContext(
        job=job,
        settings=settings,
        database=database,
        http=http,
        crypto=Envelope(settings.encryption_keys),
        clock=clock,
        deadline=clock.monotonic() + job.timeout_s,
        on_progress=lambda _: None,
        on_check=lambda: None,
    )
    try:
        return str((write_headstart(context) or {})["status"])
    except JobFailure as failure:
        # a provider's fault is never tried again by the queue
        return f"{failure.code} again" if failure.retryable else failure.code
    except JobCancelled:
        return "cancelled"
    except LeaseLost:
        return "lost"
    finally:
        database.close()
        http.close()


@dataclass
class Stream:
    """What an event stream said."""

    ids: list[str]
    events: list[dict[str, Any]]
    done: bool

    @property
    def text(self) -> str:
        """The deltas, joined."""
        return "".join(event["delta"] for event in self.events if event["type"] == "text-delta")

    @property
    def types(self) -> list[str]:
        """What came, each kind once in a row."""
        found: list[str] = []
        for event in self.events:
            if found[-1:] != [event["type"]]:
                found.append(event["type"])
        return found


def follow(functions: httpx.Client, run_id: str, *, last: str | None = None, most: int | None = None) -> Stream:
    """Reads the stream to its end, or ``most`` events of it."""
    stream = Stream([], [], False)
    headers = {} if last is None else {"Last-Event-ID": last}
    with functions.stream("GET", f"/headstart/runs/{run_id}/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("id: "):
                stream.ids.append(line.removeprefix("id: "))
            elif line == "data: [DONE]":
                stream.done = True
            elif line.startswith("data: "):
                stream.events.append(json.loads(line.removeprefix("data: ")))
                if most is not None and len(stream.events) == most:
                    break
    return stream


if __name__ == "__main__":
    # ``python -m tests.support.headstart RUN USER``: in a process of its own, to be killed by a test
    handle(os.environ, sys.argv[1], sys.argv[2])
