"""Answers have a lane of their own: no long job, no full set of slots and no pause between looks holds one up."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psycopg

from functions.shared.answers.waking import Waker
from scripts.native.paths import REPO
from scripts.native.postgres import free_port
from scripts.native.stack import Stack
from tests.functions.worker.conftest import Desk
from tests.standins.model import ModelStandIn
from tests.support import chat
from tests.support.job_handlers import TYPE
from tests.support.waiting import wait_until


@contextmanager
def worker(stack: Stack, log: Path, port: int, settings: Mapping[str, str]) -> Iterator[None]:
    """A worker of both lanes whose health port is known; it looks for work by itself only every minute."""
    command = [sys.executable, "-m", "functions.worker", "--types", f"{TYPE},chat_answer", "--concurrency", "1"]
    command += ["--handlers", "tests.support.job_handlers", "--health-port", str(port)]
    environment = {**stack.service_environment(), "WORKER_POLL_SECONDS": "60", "LOG_LEVEL": "INFO", **settings}
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=environment, cwd=REPO, stdout=file, stderr=file)
    try:
        wait_until(lambda: log.read_text().count("worker_started") == 2)
        # the pauses between looks have grown
        time.sleep(6)
        yield
    finally:
        process.kill()
        process.wait(10)


def wake(port: int) -> None:
    assert httpx.post(f"http://127.0.0.1:{port}/wake", timeout=5).status_code == 200


def test_a_woken_worker_answers_beside_a_long_job(
    desk: Desk, stack: Stack, model: ModelStandIn, tmp_path: Path
) -> None:
    port = free_port()
    settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "test", "OPENAI_MODEL": "standin-normal"}
    with chat.teacher(stack) as person, worker(stack, tmp_path / "log", port, settings):
        me = uuid.UUID(person.user_id)
        gate = tmp_path / "go"
        # all slots of the person are taken, and all of the worker
        jobs = [desk.enqueue("wait_for", user_id=me, file=str(gate)) for _ in range(5)]
        wake(port)
        desk.wait(jobs[0], "running")
        thread_id = chat.thread(person)
        answer_id = chat.ask(person, thread_id, chat.body(), most=1).message_id
        wake(port)

        def status() -> str:
            return str(person.rows("messages", id=f"eq.{answer_id}")[0]["status"])

        # well before the worker looks for work by itself
        wait_until(lambda: status() == "complete", 30)
        assert desk.job(jobs[0])["status"] == "running"
        gate.touch()
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        db.execute("delete from public.jobs where type = %s", (TYPE,))


def test_all_workers_are_woken_and_a_dead_one_holds_nobody_up() -> None:
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        began = time.monotonic()
        Waker(["http://127.0.0.1:9/wake", f"http://127.0.0.1:{server.server_port}/wake"]).wake()
        assert time.monotonic() - began < 5
        wait_until(lambda: heard == ["/wake"])
        server.shutdown()
