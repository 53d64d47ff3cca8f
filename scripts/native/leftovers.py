"""What a killed run leaves behind, and how the next start clears it away.

A run's folder holds a lock, which the system frees when its owner dies, and a list of the processes that it started.
The watchdog clears up after a killed run; this is for the case that the watchdog was killed too, or the power failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from pathlib import Path
from typing import TextIO

import psutil

from scripts.native import paths

LOCK, PROCESSES = "lock", "processes"
MAX_WAIT_SECONDS = 10.0


def note_process(record: Path, pid: int) -> None:
    """Adds a process to a run's list, with its start time, because numbers are used again."""
    with contextlib.suppress(psutil.NoSuchProcess, OSError), record.open("a") as out:
        out.write(f"{pid} {psutil.Process(pid).create_time()}\n")


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
    """A locked folder for one run, after everything that dead runs left in ``runs`` is gone."""
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
        end_noted(folder / PROCESSES)
        shutil.rmtree(folder, ignore_errors=True)


def end_noted(record: Path) -> None:
    """Ends every process of a list that still runs, with its children."""
    family: list[psutil.Process] = []
    lines = record.read_text().splitlines() if record.exists() else []
    for line in lines:
        number, _, born = line.partition(" ")
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            process = psutil.Process(int(number))
            if abs(process.create_time() - float(born)) < 1:
                family += [process, *process.children(recursive=True)]
    end(family)


def end_server(data: Path) -> None:
    """Ends a PostgreSQL server that still runs on a data folder; the caller holds the folder's lock."""
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if str(data) in process.cmdline():
            end([process, *process.children(recursive=True)])


def end(family: list[psutil.Process]) -> None:
    """SIGTERM, then SIGKILL to what is left."""
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(family, timeout=MAX_WAIT_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=MAX_WAIT_SECONDS)
