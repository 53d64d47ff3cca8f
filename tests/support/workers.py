"""Real workers as processes of their own, with the handlers of ``tests.support.job_handlers``."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import psycopg

from scripts.native.paths import REPO
from scripts.native.stack import Stack
from tests.support.job_handlers import TYPE
from tests.support.waiting import wait_until


class WorkerProcess:
    """``python -m functions.worker`` for jobs of the tests' type; use as a context manager."""

    def __init__(
        self, stack: Stack, log: Path, settings: Mapping[str, str] | None = None, concurrency: int = 4
    ) -> None:
        self.log = log
        environment = {
            **stack.service_environment(),
            "JOB_LEASE_SECONDS": "60",
            "WORKER_POLL_SECONDS": "0.2",
            "LOG_LEVEL": "INFO",
            **(settings or {}),
        }
        command = [sys.executable, "-m", "functions.worker", "--types", TYPE, "--concurrency", str(concurrency)]
        command += ["--handlers", "tests.support.job_handlers"]
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, env=environment, cwd=REPO, stdout=file, stderr=file)

    def __enter__(self) -> WorkerProcess:
        wait_until(lambda: "worker_started" in self.logged() or self.process.poll() is not None)
        assert self.process.poll() is None, self.logged()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def logged(self) -> str:
        """What it wrote so far."""
        return self.log.read_text()

    def get(self, path: str) -> httpx.Response:
        """Asks its own little server."""
        found = re.search(r'"port": (\d+)', self.logged())
        assert found, self.logged()
        return httpx.get(f"http://127.0.0.1:{found[1]}{path}", timeout=5)


def statuses(db_url: str) -> dict[str, int]:
    """How many jobs of the tests' type are in each state."""
    with psycopg.connect(db_url) as db:
        rows = db.execute("select status::text, count(*) from public.jobs where type = %s group by 1", (TYPE,))
        return dict(rows.fetchall())
