"""Socratic sessions in tests: a learner's week and session, lines over HTTP, and the jobs' handlers in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Jsonb

from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.http import Http
from functions.shared.jobs import Handler, Job, JobCancelled, JobContext, JobFailure, LeaseLost
from functions.shared.settings import load_settings
from functions.socratic.insights import find_insights
from functions.socratic.jobs import answer
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support import chat
from tests.support.canvas import Student
from tests.support.clocks import SkippingClock

HANDLERS: Mapping[str, Handler] = {"socratic_answer": answer, "socratic_insights": find_insights}


@dataclass
class Talk:
    """A learner's session and what can be done about it."""

    stack: Stack
    person: Student
    model: ModelStandIn
    week_id: str
    session_id: str

    @classmethod
    def begin(cls, stack: Stack, person: Student, model: ModelStandIn, **columns: Any) -> Talk:
        """A new session in a week of its own, over REST as a front end makes it."""
        known = len(person.rows("weeks"))
        dates = {"week_number": known + 1, "start_date": "2026-03-02", "end_date": "2026-03-08"}
        week_id = chat.add(person, "weeks", **dates)
        session_id = chat.add(person, "socratic_sessions", **{"week_id": week_id, "topic": "Photosynthesis", **columns})
        return cls(stack, person, model, week_id, session_id)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the database's owner."""
        with psycopg.connect(self.stack.db_url, autocommit=True) as db:
            cursor = db.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def session(self) -> dict[str, Any]:
        """The session as its learner sees it."""
        (found,) = self.person.rows("socratic_sessions", id=f"eq.{self.session_id}")
        return found

    def lines(self) -> list[dict[str, Any]]:
        """The lines as their learner sees them."""
        return self.person.rows("socratic_messages", session_id=f"eq.{self.session_id}", order="seq")

    def post(self, what: str, body: Any = None, **more: Any) -> httpx.Response:
        """A POST of the service."""
        return self.person.functions.post(f"/socratic/sessions/{self.session_id}/{what}", json=body, **more)

    def say(self, content: str, *drafts: str, external_id: str | None = None) -> dict[str, Any]:
        """A line, and the agent's turn as it is stored. The model writes these drafts, one for each call."""
        said = chat.body(content, external_id)
        with self.person.functions.stream("POST", f"/socratic/sessions/{self.session_id}/messages", json=said) as asked:
            assert asked.status_code == 200, asked.read()
            answer_id = chat.read(asked, most=1).message_id
        if drafts:
            self.script(*drafts)
        self.handle("socratic_answer", message_id=answer_id)
        (found,) = [line for line in self.lines() if line["id"] == answer_id]
        return found

    def script(self, *drafts: str) -> None:
        """What the model writes next."""
        self.model.say(*["normal"] * len(drafts))
        for behaviour, draft in zip(self.model._script, drafts, strict=True):
            object.__setattr__(behaviour, "text", draft)

    def handle(self, type: str, on_check: Callable[[], None] = lambda: None, **payload: str) -> str:
        """Runs a job of the queue by its handler, once; its result's status, or the failure's code.

        :param on_check: is called while the model is waited for
        """
        [(job_id, given)] = self.sql(
            "select j.id::text, r.payload from public.jobs as j join private.job_runtime as r on r.job_id = j.id "
            "where j.type = %s::public.job_type and r.payload @> %s::jsonb order by j.created_at desc limit 1",
            type,
            Jsonb(payload),
        )
        user_id = self.person.user_id if type == "socratic_insights" else None
        environment = {
            **self.stack.service_environment(),
            "OPENAI_BASE_URL": self.model.url,
            "OPENAI_API_KEY": "test",
            "OPENAI_MODEL": "standin-normal",
            "OPENAI_TRANSCRIPTION_MODEL": "standin-whisper",
            "OPENAI_SPEECH_MODEL": "standin-voice",
            "MODEL_READ_TIMEOUT_SECONDS": "1",
            "MODEL_DEADLINE_SECONDS": "15",
        }
        settings, clock = load_settings(environment), SkippingClock()
        database, http = Database(settings), Http.of(settings)
        job = Job(job_id, type, user_id, None, given, 0, 3, 600, "", chat.LONG_AGO, 0)
        context = JobContext(
            job=job,
            settings=settings,
            database=database,
            http=http,
            crypto=Envelope(settings.encryption_keys),
            clock=clock,
            deadline=clock.monotonic() + job.timeout_s,
            on_progress=lambda _: None,
            on_check=on_check,
        )
        try:
            result = HANDLERS[type](context) or {}
            return str(result.get("status", result.get("insights")))
        except JobFailure as failure:
            return failure.code
        except JobCancelled:
            return "cancelled"
        except LeaseLost:
            return "lost"
        finally:
            database.close()
            http.close()
