"""Work in a child process: its limits hold, whatever happens in it, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from functions.shared import children
from functions.shared.children import ChildCrashed, ChildOutOfMemory, ChildTimeout, run_in_child
from tests.support import child_work
from tests.support.waiting import wait_until

GIB = 1024**3


def child(function: Callable[..., Any], *args: Any, seconds: float = 20.0, memory: int = GIB, **options: Any) -> Any:
    return run_in_child(function, args, seconds=seconds, max_memory_bytes=memory, **options)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("value", [None, 1.5, "ä\u2028\n", [1, {"a": ["b"]}], {"raised": 1}])
def test_arguments_and_results_pass_unchanged(value: Any) -> None:
    assert child(child_work.echo, value) == value


def test_text_that_no_file_may_hold_passes() -> None:
    assert child(child_work.surrogate) == "a\ud800b"


def test_what_a_library_prints_is_not_the_answer() -> None:
    assert child(child_work.noise) == "quiet"


def test_secrets_of_the_environment_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_x")
    assert set(child(child_work.names)) <= {*children.KEPT, "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}


def test_endless_work_ends_in_time_with_all_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ChildTimeout):
        child(child_work.spin, seconds=0.7)
    note = tmp_path / "note"
    with pytest.raises(ChildTimeout):
        child(child_work.start_another, str(note), seconds=2)
    assert time.monotonic() - began < 8
    first, second = map(int, note.read_text().split())
    wait_until(lambda: gone(first) and gone(second))


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce limits of address space")
def test_memory_is_limited() -> None:
    with pytest.raises(ChildOutOfMemory):
        child(child_work.fill_memory, memory=512 * 1024**2)


def test_a_crash_an_exception_and_silence_are_told_apart_and_repeat_no_text() -> None:
    with pytest.raises(ChildCrashed, match="SIGSEGV"):
        child(child_work.crash)
    with pytest.raises(ChildCrashed, match="LookupError") as raised:
        child(child_work.fail)
    assert "diary" not in str(raised.value)
    with pytest.raises(ChildCrashed, match="code 3"):
        child(child_work.leave)


def test_an_answer_without_end_is_cut_off() -> None:
    with pytest.raises(ChildCrashed, match="too large"):
        child(child_work.long_answer, memory=2 * GIB)


def test_the_caller_may_end_it(tmp_path: Path) -> None:
    note = tmp_path / "note"

    class Enough(Exception):
        pass

    def check() -> None:
        if note.exists() and " " in note.read_text():
            raise Enough

    with pytest.raises(Enough):
        child(child_work.start_another, str(note), check=check)
    first, second = map(int, note.read_text().split())
    wait_until(lambda: gone(first) and gone(second))


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "note"
    script = (
        "from functions.shared.children import run_in_child\n"
        "from tests.support import child_work\n"
        f"run_in_child(child_work.start_another, [{str(note)!r}], seconds=600, max_memory_bytes={GIB})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=children.ROOT)
    wait_until(lambda: note.exists() and " " in note.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    first, second = map(int, note.read_text().split())
    wait_until(lambda: gone(first))
    # what the function started is nobody's then
    os.kill(second, signal.SIGKILL)


def test_threads_run_children_beside_each_other() -> None:
    before = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: child(child_work.echo, number), range(8))) == list(range(8))
    assert threading.active_count() < before + 8


def test_only_functions_of_modules_and_small_arguments() -> None:
    with pytest.raises(ValueError, match="top of a module"):
        child(lambda: 1)
    with pytest.raises(ValueError, match="small arguments"):
        child(child_work.echo, "x" * 60_000)
