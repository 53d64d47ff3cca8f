"""What a worker counts, and the small server that shows it: /healthz and /metrics. It also takes calls to /wake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from functions.shared.errors import AppError

REGISTRY = CollectorRegistry()
RUNS = Counter(
    "headstart_job_runs_total", "Attempts by type and how they ended.", ("type", "outcome"), registry=REGISTRY
)
SECONDS = Histogram(
    "headstart_job_run_seconds",
    "How long attempts took, by type.",
    ("type",),
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900),
    registry=REGISTRY,
)
LEASES_LOST = Counter("headstart_job_leases_lost_total", "Jobs another worker had to take over.", registry=REGISTRY)
QUEUED = Gauge("headstart_jobs_queued", "Jobs that wait, over all workers, by type.", ("type",), registry=REGISTRY)
OLDEST = Gauge(
    "headstart_jobs_oldest_seconds", "How long the first of them has been due, by type.", ("type",), registry=REGISTRY
)

Waiting = Callable[[], Mapping[str, tuple[int, int]]]


def ended(type: str, outcome: str, seconds: float) -> None:
    """Counts one attempt: succeeded, queued (again), failed, cancelled or lost."""
    RUNS.labels(type, outcome).inc()
    SECONDS.labels(type).observe(seconds)


def serve(port: int, types: Iterable[str], waiting: Waiting, wake: Callable[[], None]) -> ThreadingHTTPServer:
    """Listens on loopback in a thread of its own; port 0 takes a free one.

    :param types: the types that are shown even when none of their jobs waits
    :param waiting: asks the database how many jobs of each type wait and for how many seconds, at each scrape
    :param wake: what a POST to /wake does
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """/healthz says that the process lives, /metrics what it did."""
            if self.path == "/healthz":
                self._answer(200, "application/json", b'{"status":"ok"}')
            elif self.path == "/metrics":
                refresh(types, waiting)
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            else:
                self._answer(404, "application/json", b'{"code":"not_found","message":"No such path."}')

        def do_POST(self) -> None:
            """/wake: somebody asked for work, so the next look for it is now."""
            if self.path == "/wake":
                wake()
                self._answer(200, "application/json", b'{"status":"ok"}')
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


def refresh(types: Iterable[str], waiting: Waiting) -> None:
    """Asks how many jobs wait. An unanswered question shows as -1, never as an empty queue."""
    try:
        counts, otherwise = waiting(), 0
    except AppError:
        counts, otherwise = {}, -1
    for gauge in (QUEUED, OLDEST):
        gauge.clear()
        for type in types:
            gauge.labels(type).set(otherwise)
    for type, (jobs, seconds) in counts.items():
        QUEUED.labels(type).set(jobs)
        OLDEST.labels(type).set(seconds)
