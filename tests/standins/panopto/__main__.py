"""``python -m tests.standins.panopto --port N``: the stand-in in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.standins.panopto.server import PanoptoStandIn


def main() -> None:
    """Listens, says where, and ends cleanly on SIGINT and SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.standins.panopto", description="A small Panopto.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the recording, at most 240")
    given = parser.parse_args()
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: over.set())
    with PanoptoStandIn(given.port, given.host, seconds=given.seconds) as panopto:
        print(f"Panopto stand-in on {panopto.url}; a recording: {panopto.viewer()}", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
