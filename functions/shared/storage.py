"""Files in Storage, with the secret key: nothing here asks whose file it is.

Check the caller's ownership first, in the same function. A test lists the modules that may use it. Files are streamed
from and to disk, so their size costs no memory.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx
import structlog

from functions.shared.errors import Internal, PayloadTooLarge, Unavailable
from functions.shared.http import tls
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

# Storage writes a whole file before it answers
TIMEOUT = httpx.Timeout(30.0, connect=2.0, pool=5.0)
LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=5.0)
MAX_SECONDS = 300.0
PIECE_BYTES = 64 * 1024
MAX_REMOVED_AT_ONCE = 100
BUSY = frozenset({408, 425, 429})


class ObjectMissing(Exception):
    """There is no such file."""


class Storage:
    """The project's buckets. The threads of a process share one object. Make it after a fork."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.supabase_url}/storage/v1"
        key = settings.supabase_secret_key
        self._http = httpx.Client(
            headers={"apikey": key, "Authorization": f"Bearer {key}", "User-Agent": "Headstart/1"},
            timeout=TIMEOUT,
            limits=LIMITS,
            trust_env=False,
            verify=tls(),
        )
        weakref.finalize(self, self._http.close)

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def upload(
        self, bucket: str, key: str, source: Path | IO[bytes], content_type: str, *, seconds: float = MAX_SECONDS
    ) -> None:
        """Stores a file, in place of one that has the key already.

        :param source: a path, or an open file, which is read from its beginning
        :param content_type: stored beside it and sent with every download
        :param seconds: for the whole call
        :raise Unavailable: Storage does not answer; the file may be stored or not
        :raise PayloadTooLarge: Storage takes no file of this size
        """
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            size = file.seek(0, 2)
            file.seek(0)
            headers = {
                "Content-Type": content_type,
                # a body of unknown length would pass any limit on size
                "Content-Length": str(size),
                "x-upsert": "true",
                "Cache-Control": "private, max-age=3600",
            }
            pieces = _pieces(file, time.monotonic() + seconds)
            self._call("POST", f"/object/{_path(bucket, key)}", headers=headers, content=pieces)

    def download(
        self, bucket: str, key: str, path: Path, *, max_bytes: int | None = None, seconds: float = MAX_SECONDS
    ) -> int:
        """Writes a file to a path and returns its size in bytes. After an error the path may hold a part of it.

        :param seconds: for the whole call
        :raise ObjectMissing: there is no such file
        :raise PayloadTooLarge: it has more than ``max_bytes``
        :raise Unavailable: Storage does not answer, or broke off
        """
        deadline, size = time.monotonic() + seconds, 0
        with _faults(), self._http.stream("GET", f"{self._url}/object/{_path(bucket, key)}") as response:
            if response.status_code != 200:
                response.read()
                raise _refusal(response)
            with path.open("wb") as file:
                for piece in response.iter_bytes(PIECE_BYTES):
                    size += len(piece)
                    if max_bytes is not None and size > max_bytes:
                        raise PayloadTooLarge()
                    _check(deadline)
                    file.write(piece)
        return size

    def signed_url(self, bucket: str, key: str, seconds: int, filename: str | None = None) -> str:
        """An address at which anybody can read the file for so many seconds.

        :param filename: a browser saves the file under this name instead of showing it
        :raise ObjectMissing: there is no such file
        :raise Unavailable: Storage does not answer
        """
        answer = self._call("POST", f"/object/sign/{_path(bucket, key)}", json={"expiresIn": seconds})
        path, _, query = str(answer["signedURL"]).partition("?")
        address = f"{self._url}{quote(path)}?{query}"
        return address if filename is None else f"{address}&download={quote(filename, safe='')}"

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """Deletes files. Those that do not exist count as deleted.

        :raise Unavailable: Storage does not answer; some of them may be deleted
        """
        for first in range(0, len(keys), MAX_REMOVED_AT_ONCE):
            batch = list(keys[first : first + MAX_REMOVED_AT_ONCE])
            self._call("DELETE", f"/object/{quote(bucket, safe='')}", json={"prefixes": batch})

    def _call(self, method: str, path: str, **options: Any) -> Any:
        with _faults():
            response = self._http.request(method, f"{self._url}{path}", **options)
        if not response.is_success:
            raise _refusal(response)
        return response.json()


def _path(bucket: str, key: str) -> str:
    return f"{quote(bucket, safe='')}/{quote(key)}"


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        log.warning("storage_too_slow")
        raise Unavailable()


def _pieces(file: IO[bytes], deadline: float) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        _check(deadline)
        yield piece


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        log.warning("storage_unreachable", error=type(error).__name__)
        raise Unavailable from error


def _refusal(response: httpx.Response) -> Exception:
    """Storage answers nearly every refusal with 400. The status that it means is in the body, as text."""
    try:
        said = response.json()
        status, code = int(said.get("statusCode", response.status_code)), str(said.get("code", ""))
    except (ValueError, AttributeError, TypeError):
        status, code = response.status_code, ""
    if code == "NoSuchKey":
        return ObjectMissing()
    if status == 413:
        return PayloadTooLarge()
    if status >= 500 or status in BUSY:
        log.warning("storage_unavailable", status=status)
        return Unavailable()
    # codes are words of Storage's own, never input
    log.error("storage_refused", status=status, error_code=code[:60])
    return Internal()
