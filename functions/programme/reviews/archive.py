"""Reads a repository's archive: which files it holds, which of them are text, and which secrets stand in them.

It runs in a child process with limits, because a stranger made the archive. No member is ever written under its own
name: texts go into numbered files of one folder, so no name can lead anywhere else. Nothing is executed. Secrets are
masked before a text is written, so that what is read later never holds them.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any

from functions.programme.reviews.languages import is_generated, language_of
from functions.programme.reviews.secret_scan import Found, mask_values, scan

MIB = 1024 * 1024
MAX_MEMORY_BYTES = 1024 * MIB
MAX_FILES = 5_000
MAX_UNPACKED_BYTES = 200 * MIB
# headers, padding and folders come on top of what the files hold
MAX_TAR_BYTES = MAX_UNPACKED_BYTES + 64 * MIB
# beyond these, nobody packed a repository: GitHub takes no file of more than 100 MiB
MAX_MEMBER_BYTES = 1024 * MIB
MAX_ENTRIES = 25_000
MAX_TEXT_BYTES = 512 * 1024
MAX_PATH_CHARACTERS = 1024
MAX_SKIPPED = 500
MAX_SECRETS = 200
READ_BYTES = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"
LFS_HEAD = "version https://git-lfs.github.com/spec/"
CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")


class Hostile(Exception):
    """The archive is broken, or made to do harm."""


class TooLarge(Exception):
    """The repository is over a limit; the text says which."""


class _Unpacked:
    """The tar inside: undoes gzip in small pieces, and counts what comes out."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        head = file.read(2)
        file.seek(0)
        self._decoder: Any = zlib.decompressobj(zlib.MAX_WBITS | 16) if head == GZIP_MAGIC else None
        self._waiting = b""
        self._size = 0

    def read(self, size: int) -> bytes:
        """Up to so many bytes; fewer only at the end."""
        parts: list[bytes] = []
        while size > 0 and (part := self._some(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        if self._decoder is None:
            part = self._file.read(size)
        else:
            part = b""
            while not part and not self._decoder.eof:
                data = self._waiting or self._file.read(READ_BYTES)
                if not data:
                    raise Hostile("the archive is cut")
                part = self._decoder.decompress(data, size)
                self._waiting = self._decoder.unconsumed_tail
        self._size += len(part)
        if self._size > MAX_TAR_BYTES:
            # files of this size are refused before they are read; this is something else
            raise Hostile("the headers are too large")
        return part


def read_archive(archive_path: str, folder: str) -> dict[str, Any]:
    """Reads an archive and writes its texts into a folder. To be run in a child process.

    :return: ``{"status": "ok" | "unreadable" | "too_large", "reason"}``; when ok, also ``files`` (``path``, ``number``,
        ``name`` of the file in the folder, ``bytes``, ``lines``, ``language``), ``skipped`` (``file``, ``reason``),
        ``secrets`` (``path``, ``line_start``, ``line_end``, ``rule``, ``quote``), ``count`` of all files, and
        ``languages`` (bytes of each)
    """
    try:
        with Path(archive_path).open("rb") as file:
            return {"status": "ok", "reason": None, **_Reading(Path(folder)).read(_Unpacked(file))}
    except TooLarge as error:
        return {"status": "too_large", "reason": str(error)}
    except (Hostile, tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, OSError) as error:
        return {"status": "unreadable", "reason": type(error).__name__}


class _Reading:
    """One archive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        self._files: list[dict[str, Any]] = []
        self._skipped: list[dict[str, str]] = []
        self._secrets: list[dict[str, Any]] = []
        self._values: set[str] = set()
        self._languages: dict[str, int] = {}
        self._entries = self._count = self._bytes = 0

    def read(self, stream: _Unpacked) -> dict[str, Any]:
        """Goes through all members once."""
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            while (member := archive.next()) is not None:
                # the list of members is for seeking; a million of them would fill the memory
                archive.members.clear()
                self._take(archive, member)
        if self._count > MAX_FILES:
            raise TooLarge(f"The repository has more than {MAX_FILES:,} files.")
        if not self._entries:
            raise Hostile("the archive has no entry")
        self._mask_again()
        return {
            "files": self._files,
            "skipped": self._skipped[:MAX_SKIPPED],
            "secrets": self._secrets[:MAX_SECRETS],
            "count": self._count,
            "languages": dict(sorted(self._languages.items(), key=lambda pair: (-pair[1], pair[0]))),
        }

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise Hostile("too many entries")
        path = inner_path(member.name)
        if member.isdir():
            return
        if member.issym():
            if not path or not stays_inside(path, member.linkname):
                raise Hostile("a link leads out")
            self._skip(path, "link")
            return
        # hard links, devices, pipes and files with holes: git stores none of them
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse() or not path:
            raise Hostile("a member that git does not make")
        if path in self._seen or not 0 <= member.size <= MAX_MEMBER_BYTES:
            raise Hostile("a file twice, or of impossible size")
        self._count += 1
        self._bytes += member.size
        if self._bytes > MAX_UNPACKED_BYTES:
            raise TooLarge(f"Unpacked, the repository is larger than {MAX_UNPACKED_BYTES // MIB} MiB.")
        if self._count > MAX_FILES:
            # what follows is only counted
            self._seen.clear()
            return
        self._seen.add(path)
        self._keep(archive, member, path)

    def _keep(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        language = language_of(path)
        if CONTROL.search(path) or len(path) > MAX_PATH_CHARACTERS:
            self._skip(CONTROL.sub("?", path)[:MAX_PATH_CHARACTERS], "name")
            return
        if is_generated(path):
            self._skip(path, "generated")
            return
        if member.size > MAX_TEXT_BYTES:
            self._skip(path, "too_large")
            return
        content = archive.extractfile(member)
        data = content.read() if content is not None else b""
        if len(data) != member.size:
            raise Hostile("the archive is cut")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._skip(path, "binary")
            return
        if "\0" in text:
            self._skip(path, "binary")
            return
        if text.startswith(LFS_HEAD):
            self._skip(path, "lfs")
            return
        if language is not None:
            self._languages[language] = self._languages.get(language, 0) + len(data)
        self._write(path, text, len(data), language)

    def _write(self, path: str, text: str, size: int, language: str | None) -> None:
        # one kind of line end, so that lines are counted in one way everywhere
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        found, masked = scan(path, text)
        self._note(path, found)
        number = len(self._files)
        # the only name that means anything is that of Python, for the linter
        name = f"f{number:05}" + (".py" if language == "Python" else ".txt")
        lines = text.count("\n") + (not text.endswith("\n") and bool(text))
        self._files.append(
            {"path": path, "number": number, "name": name, "bytes": size, "lines": lines, "language": language}
        )
        (self._folder / name).write_text(masked, encoding="utf-8", newline="\n")

    def _note(self, path: str, found: list[Found]) -> None:
        for one in found:
            self._secrets.append(
                {
                    "path": path,
                    "line_start": one.line_start,
                    "line_end": one.line_end,
                    "rule": one.rule,
                    "quote": one.quote,
                }
            )
            self._values.add(one.value)

    def _mask_again(self) -> None:
        """A secret that was found in one place may stand in another without anything that shows what it is."""
        if not self._values:
            return
        for file in self._files:
            path = self._folder / file["name"]
            text = path.read_text(encoding="utf-8")
            masked = mask_values(text, self._values)
            if masked != text:
                path.write_text(masked, encoding="utf-8", newline="\n")

    def _skip(self, path: str, reason: str) -> None:
        if len(self._skipped) < MAX_SKIPPED:
            self._skipped.append({"file": path, "reason": reason})


def inner_path(name: str) -> str:
    """A member's path below the one folder that GitHub packs everything into; empty for that folder itself.

    :raise Hostile: the name leads elsewhere
    """
    parts = name.split("/")
    if not parts[0] or "\0" in name or ".." in re.split(r"[\\/]", name) or re.match(r"\\|[A-Za-z]:[\\/]", name):
        raise Hostile("a name leads out")
    return "/".join(part for part in parts[1:] if part not in ("", "."))


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at a path of the repository leads to another path of it."""
    if not target or target.startswith(("/", "\\")) or "\0" in target or re.match(r"[A-Za-z]:", target):
        return False
    depth = path.count("/")
    for part in re.split(r"[\\/]", target):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return False
    return True
