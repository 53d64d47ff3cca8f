"""The bytes: one file a version, named by a UUID of ours, so that no name of a caller's ever becomes a path."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.standins.storage.errors import too_large

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Stored:
    """A written file. ``tag`` is the quoted MD5 of its bytes."""

    version: str
    size: int
    tag: str


class Files:
    """A folder of finished files and one of files that are being written."""

    def __init__(self, root: Path) -> None:
        self._whole, self._partial = root / "files", root / "partial"
        shutil.rmtree(self._partial, ignore_errors=True)  # what a killed run was writing
        for folder in (self._whole, self._partial):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)

    def _path(self, version: str) -> Path:
        """Where a version lies.

        :raise FileNotFoundError: it is no UUID: a row that somebody wrote past Storage
        """
        try:
            return self._whole / str(uuid.UUID(version))
        except (ValueError, TypeError, AttributeError):
            raise FileNotFoundError(version) from None

    async def write(self, chunks: AsyncIterator[bytes], limit: int) -> Stored:
        """Writes a new version piece by piece.

        :param limit: bytes
        :raise Refused: there is more than the limit; nothing stays
        """
        version = str(uuid.uuid4())
        partial, size, digest = self._partial / version, 0, hashlib.md5(usedforsecurity=False)
        try:
            with partial.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise too_large()
                    digest.update(chunk)
                    file.write(chunk)
            partial.rename(self._path(version))
        finally:
            partial.unlink(missing_ok=True)
        return Stored(version, size, f'"{digest.hexdigest()}"')

    def copy(self, version: str) -> str:
        """A second name for the same bytes, which nobody changes.

        :raise FileNotFoundError: the version is gone
        """
        copied = str(uuid.uuid4())
        os.link(self._path(version), self._path(copied))
        return copied

    def open(self, version: str) -> BinaryIO:
        """A version's bytes; they stay readable while somebody removes them.

        :raise FileNotFoundError: the version is gone
        """
        return self._path(version).open("rb")

    def remove(self, versions: Iterable[str | None]) -> None:
        """Forgets versions; those that are gone already are none of the caller's concern."""
        for version in versions:
            with suppress(FileNotFoundError):
                self._path(version or "").unlink()

    def sweep(self, known: set[str]) -> int:
        """Removes files that no row names, left by a run that was killed between file and row; how many."""
        lost = [file for file in self._whole.iterdir() if file.name not in known]
        for file in lost:
            file.unlink()
        return len(lost)
