"""Every text is read in time that grows with its length, and nothing keeps the heartbeat of a worker from its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from functions.shared.errors import AppError
from functions.shared.leaks.guard import LeakGuard
from functions.shared.markup.html import read_html
from functions.shared.markup.markdown import ends_of_blocks, is_readable, markdown_to_html, safe_markdown
from functions.shared.markup.text import visible
from tests.support.hostile import CHARS, HOSTILE

SIZES = (CHARS, 2_000)
MAX_SECONDS = 2.0  # on a busy machine; the slowest takes about one second alone


def guarded(text: str) -> None:
    """The leak guard, whatever it says."""
    try:
        LeakGuard([text], text).check(text)
    except AppError:
        return


def cut(text: str) -> None:
    """What a stream does with a text that it can read."""
    if is_readable(text):
        ends_of_blocks(text)


READERS: dict[str, Callable[[str], object]] = {
    "visible": visible,
    "safe_markdown": safe_markdown,
    "markdown_to_html": markdown_to_html,
    "ends_of_blocks": cut,
    "read_html": lambda text: read_html(text).hidden,
    "stored": lambda text: read_html(text).stored(),
    "markdown": lambda text: read_html(text).markdown(),
    "guard": guarded,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_is_read_in_linear_time(name: str, reader: str) -> None:
    for size in SIZES:
        text = HOSTILE[name](size)
        # CPU time of this thread, so that neighbours on the machine do not count
        began = time.thread_time()
        READERS[reader](text)
        assert time.thread_time() - began < MAX_SECONDS, size


def test_a_heartbeat_has_its_turn_meanwhile() -> None:
    beats: list[float] = []
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.02):
            beats.append(time.monotonic())

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        for name in ("blank lines", "images that do not end", "open formatting", "nested elements", "equals signs"):
            for reader in READERS.values():
                reader(HOSTILE[name](200_000))
    finally:
        done.set()
        heart.join()
    gaps = [after - before for before, after in pairwise(beats)]
    # a lease lasts a minute, and a loaded machine may be slow
    assert max(gaps) < 3.0
