"""Folders for the files of one attempt of a job, which do not outlive it for long."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "headstart-"
MAX_FOLDER_AGE_SECONDS = 24 * 3600.0


@contextmanager
def work_folder(kind: str) -> Iterator[Path]:
    """A folder for one attempt. Folders of this kind that killed workers left a day ago are removed.

    :param kind: which work, as a word in the folder's name
    """
    prefix = f"{PREFIX}{kind}-"
    for old in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > MAX_FOLDER_AGE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
