"""A Canvas that really listens on a port and behaves, and misbehaves, as the real one does.

In a test::

    with CanvasStandIn(seed=1) as canvas:
        connection_id = canvas.register(rest_url, service_token, functions_url)
        canvas.world.change_assignment(5001, deleted=True)

The same from outside: ``python -m tests.standins.canvas --port 8900`` and the control endpoint (README).
"""

from __future__ import annotations

import logging
import ssl
import threading
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

import httpx
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tests.standins.canvas.app import create_app
from tests.standins.canvas.world import CLIENT_ID, CLIENT_SECRET, World

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "CanvasStandIn", "NotApproved", "World", "approve", "register_connection"]


# A stack knows a Canvas by its address for good, so a port that was used before would bring another test's people back.
_used_ports: set[int] = set()

# only loopback http is spoken here: nothing to verify, and reading the machine's certificates takes a while
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class NotApproved(AssertionError):
    """The consent page did not redirect back; the message has its status and text."""


class _Quiet(WSGIRequestHandler):
    """HTTP/1.1 with kept connections, and no access log: the journal is enough."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


class CanvasStandIn:
    """Runs the stand-in in threads of this process; a context manager. ``world`` is its state, to be changed freely."""

    def __init__(self, seed: int = 1, port: int = 0, host: str = "127.0.0.1") -> None:
        self.world = World(seed)
        self._server = self._listening(host, port)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.domain = f"{host}:{self._server.server_port}"
        self.url = f"http://{self.domain}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def _listening(self, host: str, port: int) -> BaseWSGIServer:
        while True:
            server = make_server(host, port, create_app(self.world), threaded=True, request_handler=_Quiet)
            if port or server.server_port not in _used_ports:
                _used_ports.add(server.server_port)
                return server
            server.server_close()

    def start(self) -> CanvasStandIn:
        """Begins to answer."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Closes the port; later calls are refused connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> CanvasStandIn:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def register(self, rest_url: str, service_token: str, functions_url: str, name: str = "Stand-in Canvas") -> str:
        """Makes this Canvas known to a running stack; see :func:`register_connection`."""
        return register_connection(self.domain, rest_url, service_token, functions_url, name=name)


def register_connection(
    domain: str,
    rest_url: str,
    service_token: str,
    functions_url: str,
    *,
    name: str = "Stand-in Canvas",
    client_id: str = CLIENT_ID,
    client_secret: str = CLIENT_SECRET,
) -> str:
    """Writes the ``lms_connections`` row and its client secret as an administrator would; returns its id.

    ``rest_url`` ends in ``/rest/v1`` or is PostgREST itself; ``service_token`` is a service_role token. Safe to repeat.
    """
    headers = {"apikey": service_token, "Authorization": f"Bearer {service_token}"}
    with httpx.Client(headers=headers, timeout=10, verify=PLAIN, trust_env=False) as client:
        row = {"provider": "canvas", "instance_domain": domain, "name": name, "oauth_client_id": client_id}
        stored = client.post(
            f"{rest_url}/lms_connections?on_conflict=provider,instance_domain",
            json=row,
            headers={"Prefer": "return=representation,resolution=merge-duplicates"},
        )
        stored.raise_for_status()
        connection_id = str(stored.json()[0]["id"])
        secret = client.put(
            f"{functions_url}/canvas-oauth/connections/{connection_id}/secret", json={"client_secret": client_secret}
        )
        secret.raise_for_status()
    return connection_id


def approve(authorize_url: str, login: str | None = None) -> dict[str, str]:
    """Walks a browser through consent as that person; answers the query of the redirect: code and state, or error.

    :raise NotApproved: there was no redirect, as when Canvas throttles
    """
    params = {"unique_id": login} if login else {}
    with httpx.Client(timeout=10, verify=PLAIN, headers={"User-Agent": "browser"}, trust_env=False) as browser:
        answer = browser.get(str(httpx.URL(authorize_url).copy_merge_params(params)))
    if answer.status_code != 302:
        raise NotApproved(f"the consent page answered {answer.status_code}: {answer.text.strip()}")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
