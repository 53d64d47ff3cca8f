"""Lets a call of a model be given up while its server is silent.

A thread that waits for the first byte cannot be woken, and a socket that another thread closes stays open while one
reads from it. So reads wait in short slices, and look in between whether anybody still wants the answer.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

SLICE_SECONDS = 0.25

_thread = threading.local()


def give_up_when(abandoned: threading.Event) -> None:
    """Reads of this thread end, and close their connection, once the event is set."""
    _thread.abandoned = abandoned


def is_given_up() -> bool:
    """Whether nobody waits for what this thread reads."""
    abandoned: threading.Event | None = getattr(_thread, "abandoned", None)
    return abandoned is not None and abandoned.is_set()


class SlicedStream(httpcore2.NetworkStream):
    """A connection whose reads can be given up."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What arrived.

        :raise ReadTimeout: nothing did in time
        :raise ReadError: nobody waits for it
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = SLICE_SECONDS if until is None else max(0.001, min(SLICE_SECONDS, until - time.monotonic()))
            try:
                return self._inner.read(max_bytes, left)
            except httpcore2.ReadTimeout:
                if is_given_up():
                    raise httpcore2.ReadError("given up") from None
                if until is not None and time.monotonic() >= until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends."""
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        """Closes the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """The connection under TLS."""
        return SlicedStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._inner.get_extra_info(info)


class SlicedBackend(httpcore2.NetworkBackend):
    """Connects as another backend does, with reads that can be given up."""

    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """A new connection."""
        return SlicedStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        """A new connection on this machine."""
        return SlicedStream(self._inner.connect_unix_socket(path, timeout, socket_options))

    def sleep(self, seconds: float) -> None:
        """Waits between attempts to connect."""
        self._inner.sleep(seconds)


def slice_reads(client: Any) -> None:
    """Makes the reads of an HTTPX2 client sliced, through its proxies, too."""
    for transport in [client._transport, *client._mounts.values()]:
        # None stands for hosts that are reached without the proxy
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = SlicedBackend(pool._network_backend)
