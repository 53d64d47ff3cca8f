"""GET from addresses that people or foreign pages name: web pages, school catalogues, lecture recordings.

:class:`Http` calls hosts that staff chose. Here the address itself is foreign, so this reader follows redirects by
itself and checks each hop as strictly as the first. It counts bytes after decompression, and ends at a total deadline
even when the other side sends one byte at a time.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import httpcore
import httpx

from functions.shared.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    USER_AGENT,
    AddressRefused,
    AnswerTooLarge,
    AnswerUnreadable,
    DeadlineExceeded,
    GuardedBackend,
    OutboundError,
    Unreachable,
    check_url,
    guarded_client,
    outbound_faults,
)
from functions.shared.settings import Settings

MAX_REDIRECTS = 5
MAX_CHUNK_BYTES = 64 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A redirect may lead to any host, so nothing may be sent that identifies anybody.
SENDABLE = frozenset({"accept", "accept-language", "if-modified-since", "if-none-match", "if-range", "range"})


class RedirectRefused(OutboundError):
    """The address leads on too often, from https to http, or nowhere."""

    code = "redirect_refused"


@dataclass(frozen=True)
class Fetched:
    """An answer whose body is still to be read, once. Names in ``headers`` are case-insensitive.

    :param url: where the redirects ended
    """

    status: int
    headers: httpx.Headers
    url: str
    _chunks: Iterator[bytes] = field(repr=False)

    @property
    def media_type(self) -> str:
        """The type that the server claims, in lower case and without parameters; may be empty."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset that the server claims, if any."""
        message = Message()
        message["Content-Type"] = str(self.headers.get("content-type", ""))[:500]
        found = message.get_content_charset()
        return found[:40] if found else None

    def chunks(self) -> Iterator[bytes]:
        """The decoded body in pieces of at most 64 KiB.

        :raise OutboundError: the body is too large, too slow, cut or not decodable
        """
        return self._chunks

    def read(self) -> bytes:
        """The decoded body. Errors as :meth:`chunks`."""
        return b"".join(self._chunks)


class Fetcher:
    """Reads foreign addresses. Threads may share it: every call has its own connection, and nothing is remembered.

    :param local: APP_ENV is local, so loopback hosts are allowed, also over http
    :param contact: a page about this service, for the people who read the User-Agent in their logs
    """

    def __init__(self, *, local: bool, contact: str | None = None) -> None:
        self._local = local
        self._user_agent = f"{USER_AGENT} (+{contact})" if contact else USER_AGENT

    @classmethod
    def of(cls, settings: Settings) -> Fetcher:
        """For these settings."""
        return cls(local=settings.is_local, contact=settings.frontend_url)

    @contextmanager
    def get(
        self,
        url: str,
        *,
        max_bytes: int,
        total_seconds: float,
        read_seconds: float = READ_SECONDS,
        headers: Mapping[str, str] | None = None,
        hosts: Collection[str] | None = None,
    ) -> Iterator[Fetched]:
        """Opens one address and follows its redirects. The caller judges the status, and reads inside the block.

        :param max_bytes: of the decoded body
        :param total_seconds: for everything, from the first look at DNS to the last byte read
        :param headers: conditions and ranges alone; a Range also keeps the server from compressing
        :param hosts: every hop must be at one of them, as :func:`is_listed` reads them
        :raise OutboundError: the subclass says what went wrong
        :raise ValueError: a header that must not be sent to foreign hosts
        """
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if not sent.keys() <= SENDABLE:
            raise ValueError(f"headers must be among {', '.join(sorted(SENDABLE))}")
        sent["accept-encoding"] = "identity" if "range" in sent else "gzip"
        until = time.monotonic() + total_seconds
        timeout = httpx.Timeout(min(read_seconds, total_seconds), connect=min(CONNECT_SECONDS, total_seconds))
        backend = _DeadlineBackend(local=self._local, until=until)
        with guarded_client(local=self._local, backend=backend, user_agent=self._user_agent) as client:
            response = self._follow(client, url, sent, hosts, timeout)
            try:
                yield Fetched(
                    response.status_code, response.headers, str(response.url), _body(response, max_bytes, until)
                )
            finally:
                response.close()

    def _follow(
        self,
        client: httpx.Client,
        url: str,
        headers: Mapping[str, str],
        hosts: Collection[str] | None,
        timeout: httpx.Timeout,
    ) -> httpx.Response:
        """The first answer that is no redirect, with its body unread."""
        for _ in range(MAX_REDIRECTS + 1):
            check_url(url, local=self._local)
            if hosts is not None and not is_listed(url, hosts):
                raise AddressRefused("the host is not on the list")
            with outbound_faults():
                request = client.build_request("GET", url, headers=headers, timeout=timeout)
                response = client.send(request, stream=True)
            if response.status_code not in REDIRECTS:
                return response
            response.close()
            url = _next(url, response.headers.get("location"))
        raise RedirectRefused("the address leads on too often")


def is_listed(url: str, hosts: Collection[str]) -> bool:
    """Whether a URL's host is one of these: ``host``, ``host:port``, or ``*.host`` for every name below it.

    An entry without a port means the usual port of the URL's scheme. What cannot be read matches nothing.
    """
    usual = 443 if url[:6].lower() == "https:" else 80
    wanted = _host_and_port(url, usual)
    for entry in hosts:
        listed = _host_and_port(f"//{entry.strip()}", usual)
        if wanted is None or listed is None or wanted[1] != listed[1]:
            continue
        host, name = wanted[0], listed[0]
        if host == name or (name.startswith("*.") and len(host) >= len(name) and host.endswith(name[1:])):
            return True
    return False


def _host_and_port(url: str, usual: int) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (host.rstrip("."), port or usual) if host else None


def _next(url: str, location: str | None) -> str:
    if not location:
        raise RedirectRefused("a redirect without an address")
    try:
        target = urldefrag(urljoin(url, location)).url
        scheme = urlsplit(target).scheme
    except ValueError as error:
        raise AddressRefused("this is not a URL") from error
    if scheme != "https" and urlsplit(url).scheme == "https":
        raise RedirectRefused("a redirect leaves https")
    return target


def _body(response: httpx.Response, max_bytes: int, until: float) -> Iterator[bytes]:
    """The decoded body, counted."""
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > max_bytes:
        raise AnswerTooLarge("the answer is too large")
    size = 0
    for chunk in _decoded(response, _raw(response)):
        size += len(chunk)
        if size > max_bytes:
            raise AnswerTooLarge("the answer is too large")
        if time.monotonic() > until:
            raise DeadlineExceeded("the whole answer took too long")
        yield chunk


def _raw(response: httpx.Response) -> Iterator[bytes]:
    # faults are translated around each step, so that an error of the reader's own keeps its type
    stream = response.iter_raw(MAX_CHUNK_BYTES)
    while True:
        with outbound_faults():
            chunk = next(stream, None)
        if chunk is None:
            return
        yield chunk


def _decoded(response: httpx.Response, raw: Iterator[bytes]) -> Iterator[bytes]:
    """Undoes gzip in small pieces. The decoder of httpx turns 64 KiB into 64 MiB before anybody can count."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from raw
        return
    if encoding not in ("gzip", "x-gzip") or response.status_code == httpx.codes.PARTIAL_CONTENT:
        raise AnswerUnreadable("the answer has an encoding that was not asked for")
    decoder: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for data in raw:
        while data:
            if decoder.eof:  # a file may consist of several members
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                chunk = decoder.decompress(data, MAX_CHUNK_BYTES)
            except zlib.error as error:
                raise AnswerUnreadable("the answer is not gzip") from error
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if chunk:
                yield chunk
    if not decoder.eof:
        raise Unreachable("the answer was cut")


class _DeadlineBackend(GuardedBackend):
    """Ends every wait at one moment, also between the bytes of a header."""

    def __init__(self, *, local: bool, until: float) -> None:
        super().__init__(local=local)
        self._until = until

    def connect_address(
        self,
        address: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        left = _left(self._until, timeout, httpcore.ConnectTimeout)
        stream = super().connect_address(address, port, left, local_address, socket_options)
        return _DeadlineStream(stream, self._until)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose waits all end at one moment."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._until, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._until, timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._until, timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _left(until: float, timeout: float | None, failure: type[httpcore.TimeoutException]) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise failure("the whole answer took too long")
    return left if timeout is None else min(left, timeout)
