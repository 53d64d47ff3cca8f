"""A teacher with a thread, a model stand-in, and the handler in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support import chat
from tests.support.canvas import Student
from tests.support.models import forget_servers
from tests.support.waiting import wait_until

MODEL = "standin-normal"


@dataclass
class Desk:
    """One teacher's thread and what can be done about it."""

    stack: Stack
    person: Student
    model: ModelStandIn
    thread_id: str
    _workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self, **changes: str) -> dict[str, str]:
        """What a worker is told."""
        return {
            **self.stack.service_environment(),
            "OPENAI_BASE_URL": self.model.url,
            "OPENAI_API_KEY": "test",
            "OPENAI_MODEL": MODEL,
            "MODEL_READ_TIMEOUT_SECONDS": "1",
            "MODEL_DEADLINE_SECONDS": "15",
            "MODEL_PRICES": f'{{"{MODEL}": {{"input": "1.25", "cached_input": "0.125", "output": 10}}}}',
            **changes,
        }

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the database's owner."""
        with psycopg.connect(self.stack.db_url, autocommit=True) as db:
            cursor = db.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def begin(self, question: Mapping[str, Any] | None = None, thread_id: str | None = None) -> str:
        """Asks, hangs up after the first part, and gives the answer's id."""
        return chat.ask(self.person, thread_id or self.thread_id, question or chat.body(), most=1).message_id

    def payload(self, answer_id: str) -> dict[str, Any]:
        """What the answer's newest job was given."""
        found = self.sql(
            "select r.payload from private.job_runtime as r join public.jobs as j on j.id = r.job_id "
            "where r.payload ->> 'message_id' = %s order by j.created_at desc limit 1",
            answer_id,
        )
        return dict(found[0][0])

    def handle(self, answer_id: str, **changes: str) -> str:
        """Runs the handler once; the status or the failure's code."""
        return chat.handle(self.environment(**changes), self.payload(answer_id))

    def answer(self, question: Mapping[str, Any] | None = None, **changes: str) -> tuple[str, str]:
        """A question from beginning to end; the answer's id and what became of it."""
        answer_id = self.begin(question)
        return answer_id, self.handle(answer_id, **changes)

    def worker(self, answer_id: str, **changes: str) -> subprocess.Popen[bytes]:
        """The handler in a process of its own."""
        command = [sys.executable, "-m", "tests.support.chat", json.dumps(self.payload(answer_id))]
        self._workers.append(subprocess.Popen(command, env={**os.environ, **self.environment(**changes)}))
        return self._workers[-1]

    def close(self) -> None:
        """Ends the workers that a failed test has left."""
        for worker in self._workers:
            worker.kill()
            worker.wait()

    @contextmanager
    def answering(self, answer_id: str, **changes: str) -> Iterator[list[str]]:
        """The handler in a thread; what became of it, once it has ended."""
        outcome: list[str] = []
        thread = threading.Thread(target=lambda: outcome.append(self.handle(answer_id, **changes)))
        thread.start()
        try:
            yield outcome
        finally:
            thread.join(60)

    def message(self, message_id: str) -> dict[str, Any]:
        """A message as its teacher sees it."""
        (found,) = self.person.rows("messages", id=f"eq.{message_id}")
        return found

    def messages(self) -> list[dict[str, Any]]:
        """All messages of the thread."""
        return self.person.rows("messages", thread_id=f"eq.{self.thread_id}", order="seq")

    def events(self, answer_id: str) -> list[dict[str, Any]]:
        """The stored parts."""
        rows = self.sql("select part from private.generation_events where stream_id = %s order by seq", answer_id)
        return [part for (part,) in rows]

    def stored_text(self, answer_id: str) -> str:
        """The stored deltas, joined."""
        return "".join(part["delta"] for part in self.events(answer_id) if part["type"] == "text-delta")

    def wait_for_text(self, answer_id: str) -> None:
        """Returns when the first text is stored; a worker process may take long to start."""
        wait_until(lambda: self.stored_text(answer_id))


@pytest.fixture
def teacher(stack: Stack) -> Iterator[Student]:
    with chat.teacher(stack) as person:
        yield person


@pytest.fixture
def other_teacher(stack: Stack) -> Iterator[Student]:
    with chat.teacher(stack) as person:
        yield person


@pytest.fixture
def desk(stack: Stack, teacher: Student, model: ModelStandIn) -> Iterator[Desk]:
    given = Desk(stack, teacher, model, chat.thread(teacher))
    yield given
    given.close()


@pytest.fixture(autouse=True)
def unknown_servers() -> None:
    """No test inherits what another one taught about the stand-in."""
    forget_servers()
