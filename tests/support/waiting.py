"""Waiting for what another process or thread does; nothing else in the tests waits for the machine's clock."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any


def listens(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Returns when ``true()`` is; fails when it never was. The time is for a busy machine: it claims no speed."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)
