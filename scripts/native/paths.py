"""Where things live: the repository, its tools, and the folder for everything that a run leaves behind."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
STATE = REPO / ".stack"
VENV_BIN = REPO / ".venv" / "bin"
NODE_MODULES = REPO / "node_modules"


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
