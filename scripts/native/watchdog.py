"""Outlives a run's own process by a moment, and ends everything that it started, even after kill -9.

    python -m scripts.native.watchdog RUN     (the parent holds the other end of standard input)

Lines in: ``tree PID`` a process that does not carry the run's name, to end with its children; ``forget PID`` one of
them that was ended in good order; ``remove PATH`` a folder to delete. At the end of input all of them end, and every
process that carries the run's name.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys

import psutil

from scripts.native import leftovers


def main(run_id: str) -> None:
    """Reads until the parent is gone, then clears up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    trees: dict[str, psutil.Process] = {}
    folders: list[str] = []
    for line in sys.stdin:
        verb, _, value = line.rstrip("\n").partition(" ")
        if verb == "tree":
            with contextlib.suppress(psutil.NoSuchProcess):
                # remembered with its start time: another process may have the number later
                trees[value] = psutil.Process(int(value))
        elif verb == "forget":
            trees.pop(value, None)
        elif verb == "remove":
            folders.append(value)
    for process in trees.values():
        if leftovers.lives(process):
            leftovers.end(leftovers.tree(process))
    leftovers.end_run(run_id)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
