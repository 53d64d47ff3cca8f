"""What a worker counts, and the small server that shows it: /healthz and /metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from functions.shared.errors import AppError

REGISTRY = CollectorRegistry()
RUNS = Counter("headstart_job_runs_total", "Tries by type and how they ended.", ("type", "outcome"), registry=REGISTRY)
SECONDS = Histogram(
    "headstart_job_run_seconds",
    "How long tries took, by type.",
    ("type",),
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900),
    registry=REGISTRY,
)
LEASES_LOST = Counter("headstart_job_leases_lost_total", "Jobs somebody else had to take over.", registry=REGISTRY)
DEPTH = Gauge("headstart_jobs_queued", "Jobs that wait, over all workers.", registry=REGISTRY)
OLDEST = Gauge("headstart_jobs_oldest_seconds", "How long the oldest of them has been due.", registry=REGISTRY)


def ended(type: str, outcome: str, seconds: float) -> None:
    """Counts one try: succeeded, queued (again), failed, cancelled or lost."""
    RUNS.labels(type, outcome).inc()
    SECONDS.labels(type).observe(seconds)


def serve(port: int, depth: Callable[[], tuple[int, str | None]]) -> ThreadingHTTPServer:
    """Listens on loopback in a thread of its own; port 0 takes a free one.

    :param depth: asks the database how many jobs wait and since when, at each scrape
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """/healthz says that the process lives, /metrics what it did."""
            if self.path == "/healthz":
                self._answer(200, "application/json", b'{"status":"ok"}')
            elif self.path == "/metrics":
                refresh(depth)
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            else:
                self._answer(404, "application/json", b'{"code":"not_found","message":"No such path."}')

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are not worth a line."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="numbers", daemon=True).start()
    return server


def refresh(depth: Callable[[], tuple[int, str | None]]) -> None:
    """Asks for the queue's depth; an unanswered question shows as -1, never as an empty queue."""
    try:
        waiting, oldest = depth()
    except AppError:
        DEPTH.set(-1)
        OLDEST.set(-1)
        return
    DEPTH.set(waiting)
    age = 0.0 if oldest is None else (datetime.now(UTC) - datetime.fromisoformat(oldest)).total_seconds()
    OLDEST.set(max(0.0, age))
