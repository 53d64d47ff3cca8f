"""Refuses every connection and name look-up that would leave this machine.

Tests need no network but loopback, and must not come to need it unnoticed. Python imports this file by itself at its
start wherever the folder stands on PYTHONPATH, so the programs that tests start obey as well: functions, worker,
gateway and stand-ins. Audit hooks cannot be taken out again, and every socket of Python passes them.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).parent)
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getnameinfo")


class NetworkRefused(RuntimeError):
    """A test, or a program that it started, wanted to leave this machine; no OSError, so that nobody retries it."""


def _address(host: str | bytes | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The host as an address; None for a name."""
    text = host.decode() if isinstance(host, bytes) else host
    try:
        return ipaddress.ip_address((text or "::1").partition("%")[0])
    except ValueError:
        return None


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in LOOK_UPS:
        if _address(arguments[0]) is None and arguments[0] not in ("localhost", b"localhost"):
            raise NetworkRefused(f"tests are offline: the name {arguments[0]!r} was about to be looked up")
    elif event in CONNECTIONS:
        to = arguments[-1]
        if isinstance(to, tuple):  # text is a socket file, None the address that was checked when it was connected
            found = _address(to[0])
            if found is None or not (found.is_loopback or found.is_unspecified):
                raise NetworkRefused(f"tests are offline: {to!r} was about to be spoken to")
    elif event == "subprocess.Popen":
        program, environment = str(arguments[0]), arguments[3]
        path = os.environ if environment is None else environment
        if Path(program).name.startswith("python") and HERE not in path.get("PYTHONPATH", "").split(os.pathsep):
            raise NetworkRefused(f"tests are offline: {program} was started without PYTHONPATH={HERE}")


sys.addaudithook(_refuse)
