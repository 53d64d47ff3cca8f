"""Starting, watching and ending the stack's programs, so that none is ever left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.native import leftovers
from scripts.native.paths import REPO
from scripts.native.postgres import tail

READY_SECONDS = 30.0


class PartFailed(RuntimeError):
    """A part did not start or ended by itself; the message names it and shows the end of its log."""


@dataclass
class Part:
    """One program of the stack. ``ready`` is a URL that answers 2xx when it serves; None when being alive is enough."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: str | None = None
    grace_seconds: float = 5.0
    process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts the program in a session of its own, so that Ctrl-C on the terminal reaches only us."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                cwd=REPO,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def wait_until_ready(self) -> None:
        """Waits for the ready URL.

        :raise PartFailed: the program ended, or did not answer within 30 s
        """
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self.process is None or self.process.poll() is not None:
                code = None if self.process is None else self.process.returncode
                raise PartFailed(f"{self.name} ended with {code} while starting.\n{tail(self.log)}")
            if self.ready is None:
                return
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.ready, timeout=2, trust_env=False).is_success:
                    return
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} does not answer at {self.ready}.\n{tail(self.log)}")
            time.sleep(0.03)

    def end(self) -> None:
        """SIGTERM, and SIGKILL to the whole group when it does not end within its grace."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.grace_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)


class Watchdog:
    """A small process that ends everything of a run when we are gone without having done so ourselves.

    ``mark`` is the environment that makes a process one of the run's. It carries the run's name from its first moment,
    so it is found even if we are killed, or interrupted, while we start it.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.mark = {leftovers.RUN: run_id}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.native.watchdog", run_id],
            cwd=REPO,
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def watch_tree(self, pid: int) -> None:
        """From now on the process and its children end with us; for a command of the user's, which has no mark."""
        self._say(f"tree {pid}")

    def forget(self, pid: int) -> None:
        """That command was ended in good order."""
        self._say(f"forget {pid}")

    def remove(self, folder: Path) -> None:
        """The folder is deleted when we are gone."""
        self._say(f"remove {folder}")

    def dismiss(self) -> None:
        """Ends the watch; whatever is left of the run ends now."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)


class Keeper(threading.Thread):
    """Starts a part again whenever it ends by itself (a worker that was killed), until told to stop.

    With ``code`` the part is also ended, and so started anew, whenever a file in that folder changes.
    """

    def __init__(
        self, part: Part, started: Callable[[subprocess.Popen[bytes]], None], code: Path | None = None
    ) -> None:
        super().__init__(name=f"keep-{part.name}", daemon=True)
        self._part, self._on_start, self._code = part, started, code
        self._stopping = threading.Event()

    def run(self) -> None:
        """Looks five times a second; waits longer when the part dies at once, again and again."""
        wait, last, seen = 0.2, 0.0, state_of(self._code)
        while not self._stopping.wait(0.2):
            process = self._part.process
            now = state_of(self._code)
            if process is not None and now != seen:
                seen, wait = now, 0.2
                process.terminate()
            if process is None or process.poll() is None:
                continue
            if self._stopping.wait(wait):
                return
            began = time.monotonic()
            self._on_start(self._part.spawn())
            wait = 0.2 if began - last > 10 else min(5.0, wait * 2)
            last = began

    def stop(self) -> None:
        """No more starts."""
        self._stopping.set()
        self.join(10)


def state_of(code: Path | None) -> tuple[int, int]:
    """How many files are below a folder, and when the last one changed in nanoseconds; __pycache__ does not count."""
    if code is None:
        return 0, 0
    changes = []
    for folder, inner, files in os.walk(code):
        inner[:] = [name for name in inner if name != "__pycache__"]
        for name in files:
            with contextlib.suppress(OSError):  # an editor has just renamed it
                changes.append(Path(folder, name).stat().st_mtime_ns)
    return len(changes), max(changes, default=0)
