"""``python -m tests.standins.model --port N``: the stand-in in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.standins.model.server import ModelStandIn


def main() -> None:
    """Listens, says where, and ends cleanly on SIGINT and SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.standins.model", description="A scripted language model.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: over.set())
    with ModelStandIn(given.port, given.host) as model:
        print(f"scripted model stand-in on {model.url}", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
