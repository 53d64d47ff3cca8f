"""Code reviews in tests: they are asked for over REST, and their jobs run one at a time."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import psycopg

from functions.programme import jobs
from scripts.native.paths import REPO
from scripts.native.stack import Stack
from tests.standins.github import GitHubStandIn
from tests.standins.model import ModelStandIn
from tests.support.canvas import Ended, Runner, Student
from tests.support.chat import add
from tests.support.models import forget_servers

QUIZ = "https://github.com/example/quiz"


@dataclass
class Desk:
    """One person who asks for reviews."""

    stack: Stack
    person: Student
    github: GitHubStandIn
    model: ModelStandIn
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        forget_servers()

    def environment(self, **changes: str) -> dict[str, str]:
        """What a worker is told."""
        return {
            **self.stack.service_environment(),
            "GITHUB_API_URL": self.github.url,
            "OPENAI_BASE_URL": self.model.url,
            "OPENAI_API_KEY": "test",
            "OPENAI_MODEL": "standin-normal",
            "MODEL_READ_TIMEOUT_SECONDS": "2",
            "MODEL_DEADLINE_SECONDS": "20",
            **self.settings,
            **changes,
        }

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the database's owner."""
        with psycopg.connect(self.stack.db_url, autocommit=True) as db:
            cursor = db.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def ask(self, url: str = QUIZ, **columns: Any) -> str:
        """Asks for a review over REST; its id."""
        return add(self.person, "reviews", github_url=url, **columns)

    def week(self) -> str:
        """A week of the person's."""
        dates = {"start_date": "2026-11-02", "end_date": "2026-11-08"}
        return add(self.person, "weeks", week_number=1, **dates)

    def row(self, review_id: str) -> dict[str, Any]:
        """The review as the person sees it."""
        (found,) = self.person.rows("reviews", id=f"eq.{review_id}")
        return found

    def job(self, review_id: str) -> str:
        """The review's job that waits or runs."""
        ((found,),) = self.sql(
            "select id::text from public.jobs where dedupe_key = %s and status in ('queued', 'running')",
            f"reviews:{review_id}",
        )
        return str(found)

    def due(self, job_id: str) -> None:
        """Makes a job that waits for its time run now."""
        self.sql("update public.jobs set scheduled_at = now() where id = %s", job_id)
        self.sql("update private.job_runtime set due_at = now(), state = 'ready' where job_id = %s", job_id)

    def step(self, review_id: str, **changes: str) -> Ended:
        """Runs the review's job once, now."""
        job_id = self.job(review_id)
        self.due(job_id)
        runner = Runner(self.environment(**changes), jobs)
        try:
            return runner.run(job_id)
        finally:
            runner.close()

    def reviewed(self, url: str = QUIZ, **columns: Any) -> dict[str, Any]:
        """A completed review."""
        review_id = self.ask(url, **columns)
        ended = self.step(review_id)
        assert ended.failure is None, ended.failure
        return self.row(review_id)

    def prompts(self) -> str:
        """Everything that was sent to the model."""
        return "\n".join(str(one["body"]["messages"]) for one in self.model.requests)


def main(job_id: str, lease_s: str, lines: str) -> None:
    """``python -m tests.support.reviews JOB LEASE LINES``: one job, killed before that many lines of ours have run."""
    left = int(lines)
    ours = str(REPO / "functions" / "programme" / "reviews")

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(ours):
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), 9)
        return trace

    runner = Runner(os.environ, jobs)
    sys.settrace(trace)
    runner.run(job_id, int(lease_s))


if __name__ == "__main__":
    main(*sys.argv[1:])
