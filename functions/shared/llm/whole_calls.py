"""A call of a model whose answer comes in one piece: a transcript or vectors."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from functions.shared.clock import Clock
from functions.shared.llm import errors, network
from functions.shared.llm.refusals import mapped

LOOK_SECONDS = 0.1


def answered(send: Callable[[], Any], *, clock: Clock, seconds: float, check: Callable[[], None]) -> Any:
    """What ``send`` returns. It runs in a thread of its own, so that a silent or slow answer does not hold the caller.

    :param check: called several times a second; an exception ends the call
    :raise DeadlineExceeded: there was no answer in time
    :raise ModelError: see errors.py
    """
    answers: queue.Queue[tuple[bool, Any]] = queue.Queue()
    abandoned = threading.Event()
    deadline = clock.monotonic() + seconds

    def work() -> None:
        network.give_up_when(abandoned)
        try:
            answers.put((True, send()))
        except Exception as error:
            answers.put((False, mapped(error, began=False)))

    check()
    threading.Thread(target=work, name="model-call", daemon=True).start()
    try:
        while True:
            try:
                is_good, value = answers.get(timeout=max(0.001, min(LOOK_SECONDS, deadline - clock.monotonic())))
                break
            except queue.Empty:
                check()
                if clock.monotonic() > deadline:
                    raise errors.DeadlineExceeded() from None
    finally:
        abandoned.set()
    if not is_good:
        raise value
    return value
