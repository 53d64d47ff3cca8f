"""Numbers for Prometheus. The gunicorn workers share them through PROMETHEUS_MULTIPROC_DIR (gunicorn.conf.py)."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter(
    "headstart_http_requests_total", "Answers by route, method and status.", ("route", "method", "status")
)
SECONDS = Histogram(
    "headstart_http_request_seconds",
    "Time until the answer began, by route.",
    ("route",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CONTENT_TYPE = CONTENT_TYPE_LATEST


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """Counts one answer. ``route`` is the rule and never the path, so that ids do not become labels."""
    REQUESTS.labels(route, method, str(status)).inc()
    SECONDS.labels(route).observe(seconds)


def exposition() -> bytes:
    """The numbers of all worker processes in the text format of Prometheus."""
    registry: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
