"""``./scripts/stack`` as its users meet it: exit codes, clean endings, two at once, clear failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.native.paths import REPO
from tests.support.processes import hear_interrupts
from tests.support.waiting import wait_until

BARE = "functions,worker,model"
EXPORTED = (
    "SUPABASE_URL",
    "SUPABASE_PUBLISHABLE_KEY",
    "SUPABASE_SECRET_KEY",
    "SUPABASE_DB_URL",
    "FUNCTIONS_URL",
    "SUPABASE_JWKS_URL",
    "STACK_LOG_DIR",
)


def stack_run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts ``stack run`` with these arguments."""
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.native.cli", "run", *arguments],
        cwd=REPO,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )


def wait_for_file(file: Path, seconds: float = 60) -> str:
    """The content of a file as soon as it has one."""
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), seconds)
    return file.read_text()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that descends from this one now."""
    children: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return children


def assert_all_gone(processes: list[psutil.Process], seconds: float = 20) -> None:
    """None of the processes is left."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    left = [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert left == [], [" ".join(p.cmdline()) for p in left]


@pytest.mark.parametrize("code", [0, 3])
def test_it_exits_with_the_commands_status_and_exports_everything(code: int) -> None:
    script = " && ".join(f'test -n "${name}"' for name in EXPORTED) + f" && exit {code}"
    process = stack_run("--without", BARE, "--", "sh", "-c", script)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "stack is up" in errors, "every start prints progress"


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    up = tmp_path / "up"
    process = stack_run("--without", BARE, "--", "sh", "-c", f'echo "$SUPABASE_DB_URL" > {up}; sleep 600')
    wait_for_file(up)
    children = family(process)
    assert len(children) >= 5
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the whole group in the foreground
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert_all_gone(children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_parent_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    up = tmp_path / "up"
    process = stack_run("--without", BARE, "--", "sh", "-c", f'echo "$STACK_LOG_DIR" > {up}; exec sleep 600')
    run_id = Path(wait_for_file(up).strip()).name
    children = family(process)
    process.send_signal(number)
    process.wait(60)
    assert_all_gone(children)
    process.communicate(timeout=60)
    assert not (REPO / ".stack" / "run" / run_id).exists(), "no half-written data stays"


def test_two_stacks_run_side_by_side(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    script = (
        'echo "$SUPABASE_URL $SUPABASE_DB_URL $SUPABASE_PUBLISHABLE_KEY" > {}; while [ ! -e {} ]; do sleep 0.1; done'
    )
    ready = tmp_path / "ready"
    processes = [stack_run("--without", BARE, "--", "sh", "-c", script.format(file, ready)) for file in files]
    try:
        first, second = (wait_for_file(file).split() for file in files)
        assert all(a != b for a, b in zip(first, second, strict=True))
    finally:
        ready.touch()
        codes = [process.wait(60) for process in processes]
        for process in processes:
            process.communicate(timeout=60)
    assert codes == [0, 0]


def test_a_part_that_fails_is_named_and_shows_its_log() -> None:
    process = stack_run("--without", "worker,model", "--set", "APP_ENV=nonsense", "--", "true")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "functions ended with" in errors
    assert "APP_ENV" in errors
