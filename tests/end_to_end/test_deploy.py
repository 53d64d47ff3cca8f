"""What docs/deploy.md puts on a machine: the image's files and command, and the units of systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scripts.native.paths import REPO
from scripts.native.postgres import free_port
from scripts.native.stack import Stack
from tests.support.waiting import wait_until

DEPLOY = REPO / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PAGE = (REPO / "docs" / "deploy.md").read_text()
SETTINGS = ("SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "ENCRYPTION_KEYS")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder of the image: what the Dockerfile copies, and nothing else of the repository."""
    for source, target in re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE, re.MULTILINE):
        if (REPO / source).is_dir():
            shutil.copytree(REPO / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPO / source, tmp_path / target)
    return tmp_path


@contextmanager
def running(command: list[str], folder: Path, stack: Stack, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the image against the stack, with the least settings; the repository itself is out of reach."""
    own = stack.service_environment()
    program = str(Path(sys.executable).with_name(command[0]))
    offline = str(REPO / "tests" / "support" / "offline")
    environment = {**{name: own[name] for name in SETTINGS}, "APP_ENV": "local", "PYTHONPATH": offline, **more}
    process = subprocess.Popen([program, *command[1:]], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(40) == 0


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_the_image_serves_the_functions(image: Path, stack: Stack) -> None:
    found = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    port = free_port()
    with running(json.loads(found[1]), image, stack, PORT=str(port)):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/functions/v1/readyz"))


def test_the_image_works_jobs(image: Path, stack: Stack) -> None:
    found = re.search(r"docker run .* headstart (python -m functions\.worker) --health-port 9090", PAGE)
    assert found
    port = free_port()
    with running([*found[1].split(), "--health-port", str(port)], image, stack):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
@pytest.mark.parametrize("name", ["headstart-functions.service", "headstart-worker.service"])
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    text = (DEPLOY / name).read_text().replace("/opt/headstart/.venv/bin", str(Path(sys.executable).parent))
    unit.write_text(text.replace("/opt/headstart", str(REPO)).replace("User=headstart\n", ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"deploy/{name}" in PAGE


def test_units_and_image_run_the_same_programs() -> None:
    commands = re.findall(
        r"^ExecStart=/opt/headstart/\.venv/bin/(.*)$",
        "".join((DEPLOY / f"headstart-{part}.service").read_text() for part in ("functions", "worker")),
        re.MULTILINE,
    )
    image = " ".join(json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1]))  # type: ignore[index]
    assert commands == [image, "python -m functions.worker --health-port 9090"]
