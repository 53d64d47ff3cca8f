"""``python -m tests.standins.canvas --port N [--seed S]``: the stand-in in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading
from urllib.parse import urlsplit

from tests.standins.canvas import CLIENT_ID, CLIENT_SECRET, CanvasStandIn


def main() -> None:
    """Listens, says where, and ends cleanly on SIGINT and SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.standins.canvas", description="A Canvas stand-in on a real port.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same courses and assignments")
    parser.add_argument("--client-id", default=CLIENT_ID, help="the developer key")
    parser.add_argument("--client-secret", default=CLIENT_SECRET)
    parser.add_argument("--redirect-uri", help="consent redirects to this host only; without it to any")
    given = parser.parse_args()
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: over.set())
    stand_in = CanvasStandIn(given.seed, given.port, given.host)
    world = stand_in.world
    world.client_id, world.client_secret = given.client_id, given.client_secret
    if given.redirect_uri:
        world.redirect_hosts = {urlsplit(given.redirect_uri).hostname or ""}
    with stand_in as canvas:
        print(f"Canvas stand-in on {canvas.url} (client id {world.client_id}, seed {given.seed})", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
