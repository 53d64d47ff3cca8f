"""A connection to the platform with faults on demand: it refuses, breaks off, or loses answers of calls that ran."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

DROPPED = ("connection", "transfer-encoding", "keep-alive", "content-length")


class BadLine:
    """Listens on loopback and passes requests on to ``target``; use as a context manager.

    What may go wrong with a request: ``refuse`` (503, not passed on), ``break`` (reset, not passed on), ``lose``
    (passed on and carried out, then reset), ``late`` (passed on, answered 504), ``nothing`` (only counted in ``done``).
    """

    def __init__(self, target: str, seed: int = 1) -> None:
        self._target = urlsplit(target).netloc
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._next: list[tuple[str, str]] = []
        self._chances: dict[tuple[str, str], float] = {}
        self.done: Counter[tuple[str, str]] = Counter()

    def next(self, call: str, fault: str, times: int = 1) -> None:
        """The next ``times`` requests whose path contains ``call`` suffer this fault."""
        with self._lock:
            self._next.extend([(call, fault)] * times)

    def chance(self, call: str, fault: str, chance: float) -> None:
        """Each request whose path contains ``call`` suffers this fault with this chance."""
        with self._lock:
            self._chances[call, fault] = chance

    def _fault(self, path: str) -> str | None:
        with self._lock:
            for index, (call, fault) in enumerate(self._next):
                if call in path:
                    del self._next[index]
                    self.done[call, fault] += 1
                    return fault
            for (call, fault), chance in self._chances.items():
                if call in path and self._random.random() < chance:
                    self.done[call, fault] += 1
                    return fault
            return None

    def __enter__(self) -> BadLine:
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = line._fault(self.path)
                if fault == "break":
                    return self._reset()
                if fault == "refuse":
                    return self._answer(503, {"Content-Type": "text/plain"}, b"no healthy upstream")
                upstream = http.client.HTTPConnection(line._target, timeout=30)
                try:
                    upstream.request(self.command, self.path, body, dict(self.headers))
                    response = upstream.getresponse()
                    answer = response.read()
                finally:
                    upstream.close()
                if fault == "lose":
                    return self._reset()
                if fault == "late":
                    return self._answer(504, {"Content-Type": "text/plain"}, b"upstream timed out")
                return self._answer(response.status, dict(response.getheaders()), answer)

            do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = _pass

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in DROPPED:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _reset(self) -> None:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.shutdown(socket.SHUT_RD)

            def log_message(self, *_: Any) -> None:
                """A test reads what went wrong from ``done``."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """A killed worker's unfinished request is expected."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
