"""``python -m functions.worker [--types a,b] [--concurrency N]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import structlog

from functions.shared.database import Database
from functions.shared.jobs import HandlerRegistry
from functions.shared.log import set_up_logs
from functions.shared.readiness import note_at_start
from functions.shared.settings import SettingError, Settings, load_settings
from functions.worker import numbers
from functions.worker.handlers import all_handlers
from functions.worker.runner import Worker

log = structlog.get_logger(__name__)


def main(argv: list[str]) -> int:
    """Works until SIGTERM or SIGINT; a second one leaves at once, its leases end by themselves."""
    parser = argparse.ArgumentParser(prog="python -m functions.worker", description=__doc__)
    parser.add_argument("--types", help="only these types of jobs, comma separated; all by default")
    parser.add_argument("--concurrency", type=int, help="jobs at the same time; WORKER_CONCURRENCY by default")
    parser.add_argument("--health-port", type=int, default=0, help="port of /healthz and /metrics; 0 takes a free one")
    parser.add_argument("--handlers", action="append", default=[], metavar="MODULE", help="a module with more handlers")
    arguments = parser.parse_args(argv)
    try:
        settings = load_settings()
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    set_up_logs(settings.log_level)
    registry = all_handlers(arguments.handlers)
    types = tuple(filter(None, (arguments.types or "").split(","))) or registry.types
    unknown = sorted(set(types) - set(registry.types))
    if unknown:
        print(f"no handler for {', '.join(unknown)}; known: {', '.join(registry.types)}", file=sys.stderr)
        return 2
    if note := note_at_start(Database(settings)):
        log.warning(note)
    workers = lanes(settings, registry, types, arguments.concurrency)

    def leave(number: int, _frame: FrameType | None) -> None:
        if signals:
            os._exit(128 + number)
        signals.append(number)
        # not here: the main thread may hold the very lock that stopping takes
        for worker in workers:
            threading.Thread(target=worker.stop, daemon=True).start()

    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)

    def wake() -> None:
        for worker in workers:
            worker.wake()

    server = numbers.serve(arguments.health_port, types, workers[0].queue.waiting, wake)
    log.info("worker_listens", port=server.server_port)
    others = [threading.Thread(target=worker.run, name="lane", daemon=True) for worker in workers[1:]]
    for thread in others:
        thread.start()
    workers[0].run()
    for thread in others:
        thread.join()
    server.shutdown()
    return 0


def lanes(settings: Settings, registry: HandlerRegistry, types: Sequence[str], concurrency: int | None) -> list[Worker]:
    """One worker for answers, which people read while they are written, and one for all other jobs.

    Answers mostly wait for a model, so many run at once, and none of them waits behind a long job.
    """
    answers = tuple(type for type in types if registry.is_answer(type))
    others = tuple(type for type in types if not registry.is_answer(type))
    made = [Worker(settings, registry, types=others, concurrency=concurrency)] if others else []
    if answers:
        most = settings.worker_answer_concurrency
        made.append(Worker(settings, registry, types=answers, concurrency=most, sweeps=not made))
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
