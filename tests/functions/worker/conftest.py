"""A clean queue and workers that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.support import queue
from tests.support.bad_line import BadLine
from tests.support.job_handlers import TYPE
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess


class Desk:
    """Enqueues jobs and follows them."""

    def __init__(self, stack: Stack, db: psycopg.Connection[Any], log: Path) -> None:
        self.stack = stack
        self.db = db
        self.log = log

    def enqueue(
        self, do: str, *, user_id: UUID | None = None, max_retries: int = 3, timeout_s: int = 60, **payload: Any
    ) -> UUID:
        """A job that does this; its attempts are noted in ``self.log``."""
        payload = {"do": do, "log": str(self.log), **payload}
        return queue.enqueue(
            self.db, TYPE, payload=payload, user_id=user_id, max_retries=max_retries, timeout_s=timeout_s
        ).job_id

    def job(self, job_id: UUID) -> dict[str, Any]:
        """Its row."""
        return queue.job(self.db, job_id)

    def wait(self, job_id: UUID, *statuses: str, seconds: float = 10.0) -> dict[str, Any]:
        """Its row, once it is in one of these states."""
        wait_until(lambda: self.job(job_id)["status"] in statuses, seconds)
        return self.job(job_id)

    def attempts(self) -> list[tuple[int, int]]:
        """The number and process of every attempt so far."""
        if not self.log.exists():
            return []
        return [(int(a), int(p)) for a, p in (line.split() for line in self.log.read_text().splitlines())]


@pytest.fixture
def desk(stack: Stack, tmp_path: Path) -> Iterator[Desk]:
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        db.execute("delete from public.jobs where type = %s", (TYPE,))
        yield Desk(stack, db, tmp_path / "attempts")
        db.execute("delete from public.jobs where type = %s", (TYPE,))


@pytest.fixture
def line(stack: Stack) -> Iterator[BadLine]:
    with BadLine(stack.url) as made:
        yield made


Hire = Callable[..., WorkerProcess]


@pytest.fixture
def hire(stack: Stack, tmp_path: Path) -> Iterator[Hire]:
    """Starts a worker: ``hire(JOB_LEASE_SECONDS="2")``."""
    with ExitStack() as all_of_them:
        count = 0

        def start(concurrency: int = 4, **settings: str) -> WorkerProcess:
            nonlocal count
            count += 1
            worker = WorkerProcess(stack, tmp_path / f"worker{count}.log", settings, concurrency)
            return all_of_them.enter_context(worker)

        yield start
