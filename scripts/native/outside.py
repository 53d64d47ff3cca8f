"""Folders outside the repository, for when PostgreSQL runs under another account that cannot reach ours.

PostgreSQL refuses root. Its server account must be able to walk to its programs and its data, and a checkout below a
closed home folder stops it. Such files go below the system's temporary folder, where anybody may put files, so every
folder there has a random name, belongs to us, and is checked each time it is used. ``.stack/outside`` remembers it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from scripts.native import paths


class NoPlaceFound(RuntimeError):
    """No folder outside the repository can be used; the message says what to do."""


def reachable(wanted: Path) -> Path:
    """``wanted``, made when missing; or a folder outside in its place, when the server's account cannot enter it."""
    if not wanted.exists():
        wanted.mkdir(parents=True, exist_ok=True)
        wanted.chmod(0o755)  # whatever the umask says
    if not paths.is_root() or paths.others_may_enter(wanted):
        return wanted
    return folder(f"{wanted.name}-{hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:16]}")


def folder(name: str) -> Path:
    """The folder outside that goes by this name, the same at each call until it is deleted or somebody takes it over.

    :raise NoPlaceFound: the server's account cannot reach the system's temporary folder either
    """
    note = paths.STATE / "outside" / name
    with paths.locked(note.with_suffix(".lock")):
        if note.exists():
            known = Path(note.read_text())
            if is_ours(known):
                return known
        parent = temporary()
        if not paths.others_may_enter(parent):
            raise NoPlaceFound(
                f"PostgreSQL's own account can reach neither this checkout nor {parent}: "
                "set TMPDIR to a folder that every account may enter"
            )
        made = Path(tempfile.mkdtemp(prefix="headstart-", dir=parent))
        made.chmod(0o755)
        paths.write_whole(note, str(made))
        return made


def temporary() -> Path:
    """Where temporary files may stay for days: TMPDIR, else /var/tmp, which a restart of the machine does not empty."""
    lasting = Path("/var/tmp")  # noqa: S108  folder() gives each file there a random name and checks its owner
    return lasting if not os.environ.get("TMPDIR") and lasting.is_dir() else Path(tempfile.gettempdir())


def is_ours(path: Path) -> bool:
    """Whether the path is a folder, no link, that belongs to us and that nobody else may write into."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
