"""Runs a function in a process of its own, with limits, for work on files that strangers made.

A parser in C can be led to loop, to fill the memory or to crash. In a child that ends the child alone. The child is a
fresh interpreter, because forking a process with threads may leave a lock taken for ever. It gets none of our settings
in its environment, and it speaks JSON, because a child that was taken over could answer a pickle that runs code here.

``python -m functions.shared.children`` is the child's side.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
LOOK_SECONDS = 0.2
MAX_REQUEST_BYTES = 60_000  # less than a pipe holds, so that writing never waits for the child
MAX_RESULT_BYTES = 128 * 1024 * 1024
READ_BYTES = 1024 * 1024
OUT_OF_MEMORY = 77
ORPHANED = 78
# what a child needs of our environment: where Python and its modules are, and where temporary files go
KEPT = ("PATH", "PYTHONPATH", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT")


class ChildError(Exception):
    """The function brought no result."""


class ChildTimeout(ChildError):
    """The function took longer than it may."""


class ChildOutOfMemory(ChildError):
    """The function wanted more memory than it may have."""


class ChildCrashed(ChildError):
    """The function raised, the process crashed, or its result is too large. The text names the exception or signal."""


def run_in_child(
    function: Callable[..., Any],
    args: Sequence[Any] = (),
    *,
    seconds: float,
    max_memory_bytes: int,
    check: Callable[[], None] | None = None,
) -> Any:
    """Calls ``function(*args)`` in a child process and returns its result.

    When the time is over, the child's whole process group is killed. When our own process dies, the child ends itself.
    The limit on memory counts address space. macOS does not enforce it.

    :param function: a function at the top of a module
    :param args: values of JSON, small ones: pass the path of a file, not what is in it
    :param seconds: from the start of the child to the end of its answer
    :param check: called several times a second while the child works; an exception ends the child and passes through
    :return: a value of JSON; text may hold lone surrogates
    :raise ChildTimeout: it took too long
    :raise ChildOutOfMemory: it wanted too much memory
    :raise ChildCrashed: it raised, crashed, or answered more than 128 MiB
    """
    deadline = time.monotonic() + seconds
    request = json.dumps([function.__module__, function.__qualname__, list(args), seconds, max_memory_bytes]).encode()
    if len(request) > MAX_REQUEST_BYTES or "<" in function.__qualname__:
        raise ValueError("pass a function at the top of a module, and small arguments")
    child = subprocess.Popen(
        [sys.executable, "-m", "functions.shared.children"],
        cwd=ROOT,
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer = _answer(child, request + b"\n", deadline, check)
        code = child.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ChildTimeout("it did not end") from error
    finally:
        # also what the function itself started, and what is left after an exception
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
    return _result(code, answer)


def _answer(
    child: subprocess.Popen[bytes], request: bytes, deadline: float, check: Callable[[], None] | None
) -> bytearray:
    """What the child wrote until it closed its end."""
    assert child.stdin is not None, "it is a pipe"
    assert child.stdout is not None, "it is a pipe"
    with contextlib.suppress(BrokenPipeError):
        # stdin stays open: its end tells the child that we are gone
        child.stdin.write(request)
        child.stdin.flush()
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if check is not None:
                check()
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChildTimeout("it took too long")
            if selector.select(min(LOOK_SECONDS, left)):
                read = os.read(child.stdout.fileno(), READ_BYTES)
                if not read:
                    return answer
                answer += read
                if len(answer) > MAX_RESULT_BYTES:
                    raise ChildCrashed("its result is too large")


def _result(code: int, answer: bytearray) -> Any:
    if code in (OUT_OF_MEMORY, -signal.SIGKILL):
        # the system kills the process that takes the most when no memory is left
        raise ChildOutOfMemory("it wanted too much memory")
    if code == -signal.SIGXCPU:
        raise ChildTimeout("it used too much processor time")
    if code < 0:
        raise ChildCrashed(f"it was ended by {signal.Signals(-code).name}")
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise ChildCrashed(f"it ended with code {code} and without an answer") from error
    if "raised" in value:
        raise ChildCrashed(f"it raised {value['raised']}")
    return value["result"]


# ---- in the child ------------------------------------------------------------------------------------------------


def _limit(seconds: float, max_memory_bytes: int) -> None:
    """Limits of this process. Processor time is a second line behind the parent's clock, so it is generous."""
    processor_seconds = math.ceil(seconds) * (os.cpu_count() or 1) + 1
    for kind, most in (
        (resource.RLIMIT_AS, max_memory_bytes),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # macOS refuses some of them
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _end_with_parent() -> None:
    """Waits for the end of stdin, which comes when the parent is gone."""
    while os.read(0, 4096):
        pass
    os._exit(ORPHANED)


def _main() -> NoReturn:
    # what libraries print goes nowhere, and only the answer is written to the pipe
    pipe = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    request = b""
    while not request.endswith(b"\n"):
        read = os.read(0, MAX_REQUEST_BYTES)
        if not read:
            os._exit(ORPHANED)
        request += read
    module, name, args, seconds, max_memory_bytes = json.loads(request)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit(seconds, max_memory_bytes)
    try:
        answer = {"result": getattr(importlib.import_module(module), name)(*args)}
        encoded = json.dumps(answer).encode()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:
        kind = type(error)
        encoded = json.dumps({"raised": f"{kind.__module__}.{kind.__qualname__}"}).encode()
    left = memoryview(encoded)
    while left:
        left = left[os.write(pipe, left) :]
    # without the interpreter's clean-up: libraries of C have crashed in theirs
    os._exit(0)


if __name__ == "__main__":
    _main()
