"""A small project of our own on loopback: signing keys that are really served, settings that point there."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from functions.shared.settings import Settings, load_settings
from scripts.native.keys import Keys
from tests.support.clocks import HeldClock

Handler = Callable[[BaseHTTPRequestHandler], None]


class Loopback:
    """A real server whose answers a test decides; ``seen`` holds what it was asked."""

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.seen: list[str] = []
        outer = self

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.seen.append(self.path)
                # an unread body would be taken for the connection's next request
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.answer(self)

            do_POST = do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Tests read ``seen`` instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, content_type: str = "application/json") -> None:
    """One whole answer."""
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """No answer at all."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def loopback() -> Iterator[Callable[[Handler], Loopback]]:
    """Starts servers; all of them end with the test."""
    started: list[Loopback] = []

    def start(answer: Handler) -> Loopback:
        started.append(Loopback(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The project's signing key."""
    return Keys.fresh()


@pytest.fixture
def jwks(keys: Keys, loopback: Callable[[Handler], Loopback]) -> Loopback:
    """Publishes the project's keys."""
    document = json.dumps(keys.public_jwks).encode()
    return loopback(lambda handler: reply(handler, 200, document))


@pytest.fixture
def env(jwks: Loopback, keys: Keys) -> dict[str, str]:
    """The smallest environment that works; nothing else listens behind it than the keys."""
    return {
        "APP_ENV": "local",
        "SUPABASE_URL": jwks.url,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "ENCRYPTION_KEYS": keys.encryption_keys,
        "RATE_LIMITS": "off",
    }


@pytest.fixture
def settings(env: dict[str, str]) -> Settings:
    """The settings of that environment."""
    return load_settings(env)


@pytest.fixture
def claims(settings: Settings) -> dict[str, Any]:
    """The claims of a good access token."""
    now = int(time.time())
    return {
        "iss": settings.jwt_issuer,
        "aud": "authenticated",
        "sub": str(uuid.uuid4()),
        "role": "authenticated",
        "user_role": "student",
        "is_anonymous": False,
        "iat": now,
        "exp": now + 3600,
    }


@pytest.fixture
def clock() -> HeldClock:
    """A clock that stands still."""
    return HeldClock()
