"""Lectures in tests: a course, people who submit recordings of a Panopto stand-in, and the jobs one at a time."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Jsonb

from functions.lectures import jobs
from functions.shared.settings import load_settings
from functions.shared.storage import Storage
from scripts.native.paths import REPO
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.standins.panopto import PanoptoStandIn
from tests.support import rows
from tests.support.canvas import Ended, Runner, Student

MODEL = "standin-normal"


@dataclass
class Hall:
    """One person, one course of the school, and a Panopto that this school uses."""

    stack: Stack
    person: Student
    panopto: PanoptoStandIn
    model: ModelStandIn
    course_id: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with psycopg.connect(self.stack.db_url, autocommit=True) as db:
            self.course_id = str(rows.catalog_course(db))
            # jobs of other tests would be claimed, too
            db.execute("delete from public.lectures")
            db.execute("delete from public.jobs where type::text like 'lecture%'")
            keys = db.execute(
                "select bucket_id, name from storage.objects where bucket_id in ('audio', 'transcripts')"
            ).fetchall()
            db.execute("delete from private.storage_deletions")
            hosts = Jsonb({"panopto_hosts": [self.panopto.host]})
            rows.connection(db, settings=hosts)
        for bucket, name in keys:
            self.drop(bucket, name)

    def environment(self, **changes: str) -> dict[str, str]:
        """What a worker is told."""
        return {
            **self.stack.service_environment(),
            "OPENAI_BASE_URL": self.model.url,
            "OPENAI_API_KEY": "test",
            "OPENAI_TRANSCRIPTION_MODEL": MODEL,
            "MODEL_DEADLINE_SECONDS": "30",
            **self.settings,
            **changes,
        }

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the database's owner."""
        with psycopg.connect(self.stack.db_url, autocommit=True) as db:
            cursor = db.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def post(self, url: str | None = None, person: Student | None = None, **body: str) -> httpx.Response:
        """Submits a recording, the open one unless another is named."""
        told = {"catalog_course_id": self.course_id, "panopto_url": url or self.panopto.viewer(), **body}
        return (person or self.person).functions.post("/lectures", json=told)

    def submit(self, url: str | None = None, person: Student | None = None, **body: str) -> str:
        """A submitted lecture's id."""
        answer = self.post(url, person, **body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["lecture_id"])

    def row(self, lecture_id: str, person: Student | None = None) -> dict[str, Any]:
        """The lecture as the person sees it."""
        (found,) = (person or self.person).rows("lectures", id=f"eq.{lecture_id}")
        return found

    def live_jobs(self, lecture_id: str) -> list[tuple[str, str]]:
        """Type and id of the lecture's jobs that wait or run."""
        found = self.sql(
            "select j.type::text, j.id::text from public.jobs as j join private.job_runtime as r on r.job_id = j.id"
            " where j.status in ('queued', 'running') and r.payload ->> 'lecture_id' = %s order by j.created_at",
            lecture_id,
        )
        return [(kind, job) for kind, job in found]

    def step(self, lecture_id: str, **changes: str) -> Ended:
        """Runs the lecture's one waiting job, now."""
        ((_, job_id),) = self.live_jobs(lecture_id)
        # an attempt that failed waits before the next
        self.sql("update public.jobs set scheduled_at = now() where id = %s", job_id)
        self.sql("update private.job_runtime set due_at = now(), state = 'ready' where job_id = %s", job_id)
        runner = Runner(self.environment(**changes), jobs)
        try:
            return runner.run(job_id)
        finally:
            runner.close()

    def finish(self, lecture_id: str, **changes: str) -> dict[str, Any]:
        """Runs jobs until none is left; the lecture afterwards."""
        for _ in range(20):
            if not self.live_jobs(lecture_id):
                return self.row(lecture_id)
            self.step(lecture_id, **changes)
        raise AssertionError("the lecture's jobs do not end")

    def files(self) -> set[str]:
        """Every file in the buckets of lectures, as bucket/name."""
        found = self.sql(
            "select bucket_id || '/' || name from storage.objects where bucket_id in ('audio', 'transcripts')"
        )
        return {name for (name,) in found}

    def drop(self, bucket: str, name: str) -> None:
        """Deletes a file, as the sweep does."""
        with Storage(load_settings(self.environment())) as storage:
            storage.remove(bucket, [name])

    def media(self, lecture_id: str, person: Student | None = None) -> dict[str, Any]:
        """The addresses of its files."""
        answer = (person or self.person).functions.get(f"/lectures/{lecture_id}/media")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def transcript(self, lecture_id: str) -> dict[str, Any]:
        """The stored transcript, read as a front end does it."""
        return dict(httpx.get(self.media(lecture_id)["transcript_url"], timeout=30, trust_env=False).json())

    def heard(self) -> list[int]:
        """The sentences that were sent to the model, as often as they were sent."""
        return [number for asked in self.model.requests for number in asked["body"].get("numbers", [])]

    def notifications(self, person: Student | None = None) -> list[str]:
        """Types of the person's notifications, oldest first."""
        return [row["type"] for row in (person or self.person).rows("notifications", order="created_at,id")]


def session_id() -> str:
    """An id that no other recording has."""
    return str(uuid.uuid4())


def main(job_id: str, lease_s: str, lines: str) -> None:
    """``python -m tests.support.lectures JOB LEASE LINES``: one job, killed before that many lines of ours have run."""
    left = int(lines)
    ours = str(REPO / "functions" / "lectures")

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
