"""A signed-up student with an assignment, a model stand-in, and the handler in this process."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support.canvas import Student
from tests.support.headstart import assignment, handle, start
from tests.support.models import forget_servers

MODEL = "standin-normal"


@dataclass
class Desk:
    """One student's assignment and what can be done about it."""

    stack: Stack
    person: Student
    model: ModelStandIn
    assignment_id: str
    settings: dict[str, str] = field(default_factory=dict)

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

    def describe(self, html: str) -> None:
        """Gives the assignment another description."""
        self.sql("update public.assignments set description_html = %s where id = %s", html, self.assignment_id)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the database's owner."""
        with psycopg.connect(self.stack.db_url, autocommit=True) as db:
            cursor = db.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> str:
        """A new run's id."""
        return str(start(self.person, self.assignment_id)["run_id"])

    def handle(self, run_id: str, **changes: str) -> str:
        """Runs the handler once; the status or the failure's code."""
        return handle(self.environment(**changes), run_id, self.person.user_id)

    def write(self, *behaviours: str, **changes: Any) -> tuple[str, str]:
        """A run from beginning to end with a scripted model; its id and what became of it."""
        self.model.say(*behaviours, default=behaviours[-1] if behaviours else None, **changes)
        run_id = self.start()
        return run_id, self.handle(run_id)

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as its owner sees it."""
        answer = self.person.functions.get(f"/headstart/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def doc(self, run_id: str) -> dict[str, Any]:
        """The run's only document, through REST."""
        (found,) = self.person.rows("headstart_docs", run_id=f"eq.{run_id}")
        return found

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """The stored events."""
        rows = self.sql("select part from private.generation_events where stream_id = %s order by seq", run_id)
        return [part for (part,) in rows]

    def calls(self, run_id: str) -> list[dict[str, Any]]:
        """What is on record about the run's calls of the model, in order."""
        statement = (
            "select u.purpose, u.model, u.attempt, u.user_id::text, u.prompt_tokens, u.completion_tokens,"
            " u.cached_tokens, u.cost_usd, u.is_estimated from private.model_usage as u"
            " join public.jobs as j on j.id = u.job_id where j.dedupe_key = %s order by u.id"
        )
        with psycopg.connect(self.stack.db_url, row_factory=dict_row) as db:
            return db.execute(statement, (f"headstart:{run_id}",)).fetchall()

    def notifications(self) -> list[str]:
        """Types of the person's notifications."""
        return [row["type"] for row in self.person.rows("notifications", order="created_at,id")]


@pytest.fixture
def desk(stack: Stack, person: Student, model: ModelStandIn) -> Desk:
    due = "2031-05-09T21:59:00+00:00"
    found = Desk(stack, person, model, assignment(stack.db_url, person, due_at=due))
    found.sql("update public.profiles set timezone = 'Europe/Berlin' where user_id = %s", uuid.UUID(person.user_id))
    return found


@pytest.fixture(autouse=True)
def unknown_servers() -> None:
    """No test inherits what another one taught about the stand-in."""
    forget_servers()
