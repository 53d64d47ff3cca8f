"""A checkout of its own for one situation, and the commands that run in it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from scripts import bootstrap
from scripts.native import paths
from tests.support.processes import hear_interrupts

MAX_WAIT_SECONDS = 150.0
UP = "Ctrl-C stops everything"


class Unexpected(AssertionError):
    """A command did not do what the situation expects; the message ends with what it said."""


class Command:
    """A command that runs in a checkout; everything it says is in ``output``."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = MAX_WAIT_SECONDS) -> str:
        """Waits until it has said this; returns all it has said.

        :raise Unexpected: it ended, or kept silent for too long
        """
        deadline = time.monotonic() + seconds
        while text not in self.output:
            if self.process.poll() is not None and text not in self.output:
                raise Unexpected(f"ended with {self.process.returncode} before it said {text!r}:\n{self.output}")
            if time.monotonic() > deadline:
                raise Unexpected(f"did not say {text!r} in {seconds:.0f} s:\n{self.output}")
            time.sleep(0.02)
        return self.output

    def value(self, name: str) -> str:
        """The value of a line ``NAME=value`` that it said."""
        found = re.search(rf"^{name}=(.*)$", self.output, re.MULTILINE)
        if not found:
            raise Unexpected(f"no {name} in:\n{self.output}")
        return found[1]

    def interrupt(self) -> int:
        """Ctrl-C as a terminal sends it, to the whole group in the foreground; the exit status."""
        return self.send(signal.SIGINT)

    def send(self, number: signal.Signals) -> int:
        """Sends a signal to the group; the exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        return self.end()

    def kill(self, *, with_watchdog: bool) -> None:
        """kill -9 of the command alone, or of the watchdog first, as when the power fails."""
        if with_watchdog:
            for child in psutil.Process(self.process.pid).children():
                if "scripts.native.watchdog" in child.cmdline():
                    child.kill()
        self.process.kill()
        self.process.wait(10)

    def end(self, seconds: float = MAX_WAIT_SECONDS) -> int:
        """Waits until it has ended; the exit status.

        :raise Unexpected: it did not end in time
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Unexpected(f"did not end in {seconds:.0f} s:\n{self.output}") from None

    def refused(self, status: int, *texts: str) -> None:
        """It ended with this status, in a sentence that has these texts, and without a traceback.

        :raise Unexpected: otherwise
        """
        code = self.end()
        problem = [text for text in texts if text not in self.output]
        if code != status or problem or "Traceback" in self.output:
            raise Unexpected(f"ended with {code} instead of {status}, without {problem}:\n{self.output}")


class Checkout:
    """A copy of the repository's files with the packages of this one, and a ``.stack`` of its own."""

    def __init__(self, root: Path, *, packages: bool = True) -> None:
        self.root = root
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=paths.REPO,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for name in filter(None, names.split("\0")):
            source, target = paths.REPO / name, root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        if packages:
            self.link(".venv", "made-from", bootstrap.digest(*bootstrap.PACKAGES))
            self.link("node_modules", ".made-from", bootstrap.digest(*bootstrap.PROGRAMS))
        self.state = root / ".stack"
        self.commands: list[Command] = []

    def link(self, folder: str, mark: str, made_from: str) -> None:
        """This repository's installed packages, with a mark of our own: no start here installs anything there."""
        (self.root / folder).mkdir()
        for item in (paths.REPO / folder).iterdir():
            if item.name != mark:
                (self.root / folder / item.name).symlink_to(item.resolve())
        (self.root / folder / mark).write_text(made_from)

    def with_template(self) -> Checkout:
        """The same, with the finished database that this repository has in its cache."""
        cache = paths.STATE / "cache"
        if cache.is_dir():
            self.state.mkdir(exist_ok=True)
            with paths.locked(cache / "lock"):  # another run of this repository may be making one
                subprocess.run(["cp", "-a", str(cache), str(self.state)], check=True)
        return self

    def start(
        self,
        *command: str,
        environment: Mapping[str, str | None] | None = None,
        user: str | None = None,
        umask: int = -1,
    ) -> Command:
        """Starts a command; variables set to None are taken out of its environment."""
        variables = {**os.environ, "HOME": str(self.home), **(environment or {})}
        log = self.root.parent / f"{self.root.name}-{len(self.commands)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env={name: value for name, value in variables.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_interrupts,
                user=user,
                umask=umask,
            )
        self.commands.append(Command(process, log))
        return self.commands[-1]

    @property
    def home(self) -> Path:
        """The home folder of the one who works here; empty at first."""
        folder = self.root.parent / f"{self.root.name}-home"
        folder.mkdir(exist_ok=True)
        return folder

    def stack(self, *command: str, environment: Mapping[str, str | None] | None = None) -> Command:
        """``./scripts/stack run`` without functions, worker and model."""
        bare = ("--without", "functions,worker,model")
        return self.start("./scripts/stack", "run", *bare, "--", *command, environment=environment)

    def dev(self, *options: str, environment: Mapping[str, str | None] | None = None) -> Command:
        """``./scripts/dev`` on ports that nobody uses."""
        port = () if "--port" in options else ("--port", str(three_free_ports()))
        return self.start("./scripts/dev", *port, *options, environment=environment)

    def dev_up(self, *options: str, environment: Mapping[str, str | None] | None = None) -> Command:
        """The same, as soon as it is up."""
        command = self.dev(*options, environment=environment)
        command.wait_for(UP)
        return command

    def processes(self) -> list[psutil.Process]:
        """Every process that works on this checkout."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = [*process.cmdline(), process.cwd()]
                if any(str(self.root) in text for text in mine):
                    found.append(process)
        return found

    def nothing_left(self, seconds: float = 30.0) -> None:
        """No process works on this checkout, and no half-made folder lies in it.

        :raise Unexpected: otherwise
        """
        deadline = time.monotonic() + seconds
        while left := [*self.processes(), *self.half_made()]:
            if time.monotonic() > deadline:
                raise Unexpected(f"left behind: {left}")
            time.sleep(0.1)

    def half_made(self) -> list[Path]:
        """Folders of runs and unfinished databases."""
        runs = [folder for folder in self.state.glob("run/*") if folder.is_dir()]
        return [*runs, *self.state.glob("*/staged-*")]

    def close(self) -> None:
        """Ends what still runs and removes everything."""
        for command in self.commands:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command.process.pid, signal.SIGTERM)
        for command in self.commands:
            with contextlib.suppress(Unexpected):
                command.end(30)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for folder in self.state.glob("outside/*"):
            if folder.suffix != ".lock":
                shutil.rmtree(folder.read_text(), ignore_errors=True)
        for path in self.root.parent.glob(f"{self.root.name}*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def three_free_ports() -> int:
    """A port that nobody uses, and neither the two above it.

    It lies below the ports that the system gives to whoever asks for any, so nobody takes it before it is used.
    """
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for number in range(3):
                held.enter_context(listening(port + number))
            return port


@contextlib.contextmanager
def listening(port: int = 0) -> Iterator[socket.socket]:
    """Somebody who listens on a port of loopback."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield server
