"""Nothing that the tests run leaves this machine: each way out is refused, in the test process and in the stack."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from scripts.native.paths import REPO
from scripts.native.stack import Stack
from tests.support.offline.sitecustomize import HERE

AWAY = "192.0.2.1"  # set aside for documentation (RFC 5737): nobody answers there


def over_tcp(family: socket.AddressFamily, address: str) -> None:
    with socket.socket(family) as line:
        line.settimeout(1)
        line.connect((address, 80))


def over_udp(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        return line.sendto(b"x", (address, 9))


async def over_asyncio() -> Any:
    return await asyncio.open_connection(AWAY, 80)


@pytest.mark.parametrize(
    "leave",
    [
        lambda: over_tcp(socket.AF_INET, AWAY),
        lambda: over_tcp(socket.AF_INET6, "2001:db8::1"),
        lambda: over_udp(AWAY),
        lambda: asyncio.run(over_asyncio()),
        lambda: socket.getaddrinfo("school.example", 443),
        lambda: socket.gethostbyname("school.example"),
        lambda: socket.gethostbyaddr("school.example"),
        lambda: socket.getnameinfo((AWAY, 80), 0),
        lambda: httpx.get("https://school.example/"),
        lambda: subprocess.run([sys.executable, "-c", "pass"], env={}, check=True),
    ],
)
def test_this_process_cannot_leave(leave: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError, match="tests are offline"):
        leave()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=1).close()
    assert over_udp("127.0.0.1") == 1


def refusal(environment: dict[str, str], leave: str) -> str:
    """What a program with this environment says when it tries to leave."""
    command = [sys.executable, "-c", f"import socket; {leave}"]
    done = subprocess.run(command, env=environment, cwd=REPO, capture_output=True, text=True, timeout=30, check=False)
    return done.stderr.rstrip().rpartition("\n")[2] if done.returncode else "it left"


@pytest.mark.parametrize(
    "leave", [f"socket.create_connection(({AWAY!r}, 80), 1)", "socket.getaddrinfo('a.example', 1)"]
)
def test_the_stacks_programs_cannot_leave(stack: Stack, leave: str) -> None:
    ours = {part.name: dict(part.environment) for part in stack.parts if part.command[0] == sys.executable}
    assert {"gateway", "functions", "model", "storage"} <= ours.keys()
    for name, environment in {**ours, "worker": stack.service_environment()}.items():
        assert "NetworkRefused: tests are offline" in refusal(environment, leave), name
    assert "NetworkRefused" not in refusal({"PYTHONPATH": HERE, "PATH": os.environ["PATH"]}, "socket.socket().close()")
