"""``./scripts/dev``: seeded once, kept over restarts, brought up to date at each start."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from scripts.native.paths import REPO
from tests.support.processes import hear_interrupts

HOME = REPO / ".stack" / "test-dev"


def started(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A running dev stack and what it printed until it was up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.native.cli", "dev", *arguments],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hear_interrupts,
    )
    watch = threading.Timer(120, process.kill)
    watch.start()
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C stops"):
            break
    watch.cancel()
    return process, said


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty place for a dev database, which the server's account can reach."""
    shutil.rmtree(HOME, ignore_errors=True)
    yield HOME
    shutil.rmtree(HOME, ignore_errors=True)


def test_the_database_is_seeded_once_and_stays(home: Path) -> None:
    counts = []
    for number in range(2):
        process, said = started("--home", str(home))
        try:
            assert "the stack is up" in said, said
            assert ("seed.sql is loaded" in said) == (number == 0), said
            assert ("migrations are applied" in said) == (number == 1), said
            url = next(line.split("=", 1)[1] for line in said.splitlines() if line.startswith("SUPABASE_DB_URL="))
            with psycopg.connect(url) as db:
                counts.append(db.execute("select count(*) from public.profiles").fetchone())
                db.execute("insert into public.subjects (name) values (%s)", (f"Kept {number}",))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode == 130
    assert counts[0] == counts[1] != (0,)
