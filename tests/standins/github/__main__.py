"""``python -m tests.standins.github --port N``: the stand-in in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.standins.github import EVIL, GitHubStandIn, Repository


def main() -> None:
    """Listens, says where, and ends cleanly on SIGINT and SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.standins.github", description="A small GitHub.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with GitHubStandIn(given.port, given.host) as github:
        for name in ("link out", "name out", "device"):
            github.add(f"example/evil-{name.replace(' ', '-')}", Repository(archive=EVIL[name]()))
        print(f"GITHUB_API_URL={github.url}", flush=True)
        for name in github.repositories:
            print(f"https://github.com/{name}", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
