"""What a killed run leaves behind, and how it is cleared away.

A run's folder holds a lock, which the system frees when its owner dies. Every process of the run carries the folder's
name: in the variable ``HEADSTART_RUN``, or on PostgreSQL's command line as ``cluster_name``, because a root without all
capabilities cannot read the environment of another account. So none is missed, however suddenly the run ended, and no
stranger is taken for one of the run's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import psutil

from scripts.native import paths

LOCK = "lock"
RUN = "HEADSTART_RUN"
# SIGINT in the middle is PostgreSQL's fast shutdown: SIGTERM alone waits for its clients
SIGNALS = ((signal.SIGTERM, 0.5), (signal.SIGINT, 5.0), (signal.SIGKILL, 5.0))
MAX_LOOKS, LOOK_AGAIN_SECONDS = 10, 0.1


def claim(folder: Path) -> TextIO | None:
    """Locks a folder for this process, or returns None when another living process has it.

    The lock holds until the handle is closed or this process dies. The file tells who has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = (folder / LOCK).open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle


def new_run(runs: Path, run_id: str) -> tuple[Path, TextIO]:
    """A locked folder for one run, after everything that dead runs left in ``runs`` is gone.

    :param run_id: unique on this machine, at most 63 ASCII characters
    """
    with paths.locked(runs / LOCK):
        for folder in runs.iterdir():
            if folder.is_dir():
                clear(folder)
        home = runs / run_id
        handle = claim(home)
        assert handle is not None, "the name is random"
        home.chmod(0o755)
        return home, handle


def clear(folder: Path) -> None:
    """Ends a dead run's processes and deletes its folder; does nothing to a run that lives."""
    handle = claim(folder)
    if handle is None:
        return
    with handle:
        end_run(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def end_run(run_id: str) -> None:
    """Ends every process that carries the run's name, with its children."""
    unseen = 0
    for _ in range(MAX_LOOKS):
        found = [process for process in psutil.process_iter() if carries(process, run_id)]
        end([member for process in found for member in tree(process)])
        # a second look, because one that was just being started did not carry the name yet
        unseen = 0 if found else unseen + 1
        if unseen == 2:
            return
        time.sleep(LOOK_AGAIN_SECONDS)


def carries(process: psutil.Process, run_id: str) -> bool:
    """Whether a process was started for this run."""
    with contextlib.suppress(psutil.Error, OSError):
        if not lives(process) or process.pid == os.getpid():
            return False
        if f"cluster_name={run_id}" in process.cmdline():
            return True
        return bool(process.environ().get(RUN) == run_id)
    return False


def end_server(data: Path) -> None:
    """Ends a PostgreSQL server that still runs on a data folder; the caller holds the folder's lock."""
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if str(data) in process.cmdline():
            end(tree(process))


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and everything that descends from it now."""
    with contextlib.suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def lives(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def end(family: Iterable[psutil.Process]) -> None:
    """SIGTERM, SIGINT and at last SIGKILL, each to what is left."""
    for number, patience in SIGNALS:
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        deadline = time.monotonic() + patience
        while (family := [process for process in family if lives(process)]) and time.monotonic() < deadline:
            time.sleep(0.02)
