"""What the tests let a child process do. Each stands for something that a hostile file makes a parser do."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def echo(value: Any) -> Any:
    """Answers what it was given."""
    return value


def surrogate() -> str:
    """Text as broken PDF files hold it."""
    return "a\ud800b"


def names() -> list[str]:
    """The variables of its environment."""
    return sorted(os.environ)


def noise() -> str:
    """Prints beside its answer."""
    print("this is no JSON")
    os.write(1, b"neither is this")
    return "quiet"


def spin() -> None:
    """Never ends, and never waits."""
    while True:
        pass


def start_another(note: str) -> None:
    """Starts a program of its own, notes its id, and never ends."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(note).write_text(f"{os.getpid()} {program.pid}")
    time.sleep(600)


def fill_memory() -> int:
    """Wants more memory than there is."""
    return len(bytearray(8 * 1024**3))


def crash() -> None:
    """Reads where nothing is."""
    ctypes.string_at(0)


def fail() -> None:
    """Raises, with text of a student in the message."""
    raise LookupError("My diary")


def leave() -> None:
    """Ends without an answer."""
    os._exit(3)


def long_answer() -> str:
    """Answers more than anybody wants to read."""
    return "x" * (129 * 1024 * 1024)
