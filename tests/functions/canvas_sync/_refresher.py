"""``python -m tests.functions.canvas_sync._refresher INTEGRATION THREADS``: reads the list of courses in threads.

Prints a line when it is ready and begins when it gets one.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from functions.shared.canvas.factory import CONNECTION_COLUMNS, CanvasFactory
from functions.shared.clock import SystemClock
from functions.shared.crypto import Envelope
from functions.shared.database import rpc, run
from tests.support.canvas import Runner


def main(integration_id: str, threads: str) -> None:
    """All threads share one client, as those of a run do."""
    runner = Runner(os.environ)
    service = runner.database.service()
    query = service.from_("integrations").select(f"c:lms_connections({CONNECTION_COLUMNS})").eq("id", integration_id)

    def call(name: str, args: dict[str, Any]) -> Any:
        return rpc(runner.database.service(), name, args)

    factory = CanvasFactory(
        runner.settings, runner.http, Envelope(runner.settings.encryption_keys), SystemClock(), call
    )
    canvas = factory.canvas(run(query)[0]["c"], integration_id)
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(int(threads)) as pool:
        rows = list(pool.map(lambda _: sum(len(page.rows) for page in canvas.courses()), range(int(threads))))
    print(len(set(rows)), flush=True)
    runner.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
