"""Teachers and their threads in tests, the job of an answer, and its stream as a client reads it."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from functions.chat.jobs import answer
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.http import Http
from functions.shared.jobs import Job, JobCancelled, JobContext, JobFailure, LeaseLost
from functions.shared.settings import load_settings
from scripts.native.stack import Stack
from tests.support import rows
from tests.support.canvas import Student, sign_in, student
from tests.support.clocks import SkippingClock
from tests.support.headstart import job_id

LONG_AGO = "2026-01-01T00:00:00+00:00"


@contextmanager
def teacher(stack: Stack) -> Iterator[Student]:
    """A signed-up person who is a teacher now."""
    with student(stack) as person:
        with psycopg.connect(stack.db_url, autocommit=True) as db:
            db.execute("update public.profiles set role = 'teacher' where user_id = %s", (person.user_id,))
            made = {"id": person.user_id, "lms_connection_id": rows.connection(db), "canvas_user_id": "1"}
            rows.insert(db, "public.teachers", made)
        person.token = sign_in(stack, person.email)
        for client in (person.functions, person.rest):
            client.headers["Authorization"] = f"Bearer {person.token}"
        yield person


def thread(person: Student, **columns: Any) -> str:
    """A new thread, written over REST as a front end does."""
    return add(person, "threads", **columns)


def add(person: Student, table: str, **columns: Any) -> str:
    """A row of the person's own, over REST; its id."""
    answer = person.rest.post(f"/{table}", json=columns, headers={"Prefer": "return=representation"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()[0]["id"])


@dataclass
class Stream:
    """What a message stream said."""

    ids: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The deltas, joined."""
        return "".join(part["delta"] for part in self.parts if part["type"] == "text-delta")

    @property
    def types(self) -> list[str]:
        """What came, each kind once in a row."""
        found: list[str] = []
        for part in self.parts:
            if found[-1:] != [part["type"]]:
                found.append(part["type"])
        return found

    @property
    def message_id(self) -> str:
        """The answer's id, as the first part says."""
        return str(self.parts[0]["messageId"])


def read(answer: httpx.Response, most: int | None = None) -> Stream:
    """Reads an open stream to its end, or ``most`` parts of it."""
    stream = Stream(headers=answer.headers)
    for line in answer.iter_lines():
        if line.startswith("id: "):
            stream.ids.append(line.removeprefix("id: "))
        elif line == "data: [DONE]":
            stream.done = True
        elif line.startswith("data: "):
            stream.parts.append(json.loads(line.removeprefix("data: ")))
            if most is not None and len(stream.parts) == most:
                break
    return stream


def body(content: str = "What is light?", external_id: str | None = None, **more: Any) -> dict[str, Any]:
    """A question."""
    return {"content": content, "external_id": external_id or uuid.uuid4().hex, **more}


def ask(person: Student, thread_id: str, question: Mapping[str, Any], most: int | None = None) -> Stream:
    """Asks and reads the answer's stream."""
    with person.functions.stream("POST", f"/chat/threads/{thread_id}/messages", json=question) as answer:
        assert answer.status_code == 200, answer.read()
        return read(answer, most)


def ask_json(person: Student, thread_id: str, question: Mapping[str, Any]) -> httpx.Response:
    """Asks and waits for both messages."""
    headers = {"Accept": "application/json"}
    return person.functions.post(f"/chat/threads/{thread_id}/messages", json=question, headers=headers)


def follow(person: Student, thread_id: str, last: str | None = None, most: int | None = None) -> Stream | None:
    """The live stream of a thread, None when there is none."""
    headers = {} if last is None else {"Last-Event-ID": last}
    with person.functions.stream("GET", f"/chat/threads/{thread_id}/stream", headers=headers) as answer:
        if answer.status_code == 204:
            return None
        assert answer.status_code == 200, answer.read()
        return read(answer, most)


def handle(environment: Mapping[str, str], payload: Mapping[str, Any]) -> str:
    """Runs the handler of an answer's job once; the status, the failure's code, ``cancelled`` or ``lost``."""
    settings, clock = load_settings(environment), SkippingClock()
    database, http = Database(settings), Http.of(settings)
    job = Job(
        job_id(database, f"chat_answer:{payload['message_id']}"),
        "chat_answer",
        None,
        None,
        payload,
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
        return str(answer(context)["status"])
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


if __name__ == "__main__":
    # ``python -m tests.support.chat PAYLOAD``: in a process of its own, to be killed by a test
    handle(os.environ, json.loads(sys.argv[1]))
