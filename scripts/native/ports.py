"""The ports of ``./scripts/dev``: the well-known ones when they are free."""

from __future__ import annotations

import socket
from collections.abc import Callable

import psutil

from scripts.native.postgres import free_port
from scripts.native.programs import SetUpFailed

HIGHEST_PORT = 65535


def is_free(port: int) -> bool:
    """Whether nobody listens on the port on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on the port, in words; the system shows this for our own processes only, unless we are root."""
    try:
        found = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == "LISTEN"]
        process = next((psutil.Process(c.pid) for c in found if c.pid), None)
        if process:
            return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
    except (psutil.Error, OSError):
        pass
    return "a process of another account"


def chosen(port: int, what: str) -> int:
    """A port that somebody asked for by name.

    :raise SetUpFailed: it is taken; the message says by whom
    """
    if not is_free(port):
        raise SetUpFailed(f"port {port} for {what} is taken by {holder(port)}: end that, or choose another port")
    return port


def preferred(port: int, what: str, tell: Callable[[str], None]) -> int:
    """The well-known port, or a free one when it is taken, which is said."""
    if is_free(port):
        return port
    other = free_port()
    tell(f"port {port} is taken by {holder(port)}; {what} listens on {other} instead")
    return other
