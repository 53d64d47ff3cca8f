"""Where things live: the repository, its tools, and the folder for everything that a run leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
STATE = REPO / ".stack"
VENV_BIN = REPO / ".venv" / "bin"
NODE_MODULES = REPO / "node_modules"
DOTENV = REPO / ".env"


def python() -> str:
    """The interpreter that has the project's packages: the one we run under."""
    return sys.executable


def others_may_enter(path: Path) -> bool:
    """Whether another account may walk down to ``path``: every folder on the way needs the x bit for others."""
    resolved = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [resolved, *resolved.parents] if folder.is_dir())


def is_root() -> bool:
    """Whether this process is root, whom PostgreSQL refuses to run under."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds the lock file alone; whoever comes second waits. The system frees it when the holder dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_whole(file: Path, text: str, mode: int = 0o644) -> None:
    """Writes a file aside and renames it: a killed process leaves the old content or the new, never half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    with os.fdopen(handle, "w") as out:
        out.write(text)
    Path(name).chmod(mode)
    Path(name).replace(file)
