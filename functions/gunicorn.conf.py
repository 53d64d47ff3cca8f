"""How gunicorn runs the functions: threads, because the work is waiting for REST (jobs_billing_notify facts E)."""

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from functions.shared.database import Database
from functions.shared.readiness import note_at_start
from functions.shared.settings import SettingError, load_settings
from functions.shared.tokens import problem_at_start

try:
    settings = load_settings()
except SettingError as problem:
    # before any worker starts, in one line
    raise SystemExit(str(problem)) from None

bind = f"127.0.0.1:{settings.port}" if settings.is_local else f"0.0.0.0:{settings.port}"
worker_class = "gthread"
workers = settings.web_concurrency
threads = settings.web_threads
# with threads this does not bound a request: every outbound call has deadlines of its own
timeout = 60
graceful_timeout = 30
keepalive = 15
# its default path is one for all services of a user, and a second service takes it over without an error
control_socket_disable = True
# the request line of ours is written by the application, without query strings
accesslog = None
errorlog = "-"
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "functions.shared.log.formatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    # the application puts its own handler there
    "root": {"level": settings.log_level, "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": settings.log_level, "handlers": ["stdout"], "propagate": False},
        "gunicorn.access": {"level": logging.CRITICAL, "handlers": [], "propagate": False},
    },
}


def on_starting(server: Any) -> None:
    """Refuses a project whose tokens can never be checked. The worker processes' numbers meet in a fresh folder, named
    before any of them imports prometheus_client."""
    if problem := problem_at_start(settings):
        raise SystemExit(problem)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="headstart-metrics-")


def when_ready(server: Any) -> None:
    """Says once, before any request, when the database has another schema than this code was written for."""
    database = Database(settings)
    if note := note_at_start(database):
        server.log.warning(note)
    database.close()


def child_exit(server: Any, worker: Any) -> None:
    """A worker's live gauges end with it."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Leaves nothing behind."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
