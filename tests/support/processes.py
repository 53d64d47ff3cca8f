"""How tests start commands."""

from __future__ import annotations

import os
import signal


def hear_interrupts() -> None:
    """For ``preexec_fn``: the command hears Ctrl-C even where the tests themselves run in the background.

    A shell lets its background jobs ignore SIGINT, and children inherit that (POSIX, Shell 2.11).
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def bare_environment() -> dict[str, str]:
    """No setting of anybody's: only what keeps a Python program offline."""
    return {"PYTHONPATH": os.environ["PYTHONPATH"]}
