"""Outlives the stack's own process by a moment, and ends everything that it started, even after kill -9.

    python -m scripts.native.watchdog     (the parent holds the other end of standard input)

Lines in: ``group PGID`` a process group to end, ``tree PID`` a process to end with its children, ``remove PATH`` a
folder to delete, ``forget ID`` a group or process that was ended in good order. At the end of input everything still
named is ended (SIGTERM, then SIGKILL) and removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

import psutil

MAX_WAIT_SECONDS = 5.0


def alive(group: int) -> bool:
    """Whether any process of the group is left; one that has ended and that nobody has waited for is none."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def end(groups: list[int]) -> None:
    """Ends the groups, newest first, with SIGTERM, SIGINT and at last SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        # SIGINT in the middle is PostgreSQL's fast shutdown: SIGTERM alone waits for its clients
        for group in reversed(groups):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        deadline = time.monotonic() + (0.5 if number == signal.SIGTERM else MAX_WAIT_SECONDS)
        while time.monotonic() < deadline and any(alive(group) for group in groups):
            time.sleep(0.05)


def end_tree(pid: int) -> None:
    """Ends a process and everything that descends from it now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(family, timeout=MAX_WAIT_SECONDS)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def main() -> None:
    """Reads until the parent is gone, then cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    trees: list[int] = []
    folders: list[str] = []
    for line in sys.stdin:
        verb, _, value = line.rstrip("\n").partition(" ")
        if verb == "group":
            groups.append(int(value))
        elif verb == "forget":
            groups = [group for group in groups if group != int(value)]
            trees = [pid for pid in trees if pid != int(value)]
        elif verb == "tree":
            trees.append(int(value))
        elif verb == "remove":
            folders.append(value)
    for pid in trees:
        end_tree(pid)
    end(groups)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
