"""``./scripts/test``: pytest in the repository's folder, with its own closing line; no test at all is a failure.

Without arguments all tests run, files spread over two processes, each with a stack of its own; with arguments pytest
gets just these.
"""

from __future__ import annotations

import os
import sys

import pytest

from scripts.native.paths import REPO


def main(arguments: list[str]) -> int:
    """Runs the named tests (all by default); pytest's status, 5 (no test ran) included."""
    os.chdir(REPO)
    return int(pytest.main(arguments or ["-q", "--numprocesses=2", "--dist=loadfile"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
