"""How gunicorn runs the functions: with threads, because requests mostly wait for REST."""

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
    # one line, before any worker process starts
    raise SystemExit(str(problem)) from None

bind = f"127.0.0.1:{settings.port}" if settings.is_local else f"0.0.0.0:{settings.port}"
worker_class = "gthread"
workers = settings.web_concurrency
threads = settings.web_threads
# with threads this does not limit a request; every outbound call has its own deadlines
timeout = 60
graceful_timeout = 30
keepalive = 15
# all services of a user share its default path, and a second service would take it over silently
control_socket_disable = True
# the application logs requests itself, without query strings
accesslog = None
errorlog = "-"
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "functions.shared.log.formatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    # the application adds its own handler
    "root": {"level": settings.log_level, "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": settings.log_level, "handlers": ["stdout"], "propagate": False},
        "gunicorn.access": {"level": logging.CRITICAL, "handlers": [], "propagate": False},
    },
}


def on_starting(server: Any) -> None:
    """Refuses a project whose tokens can never be checked, and makes the folder for the numbers.

    The worker processes share their numbers there. It exists before any of them imports prometheus_client.
    """
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
    """Removes the live gauges of a worker process that ended."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Removes the folder of the numbers."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
