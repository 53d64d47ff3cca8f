"""``./scripts/test``: pytest in the repository's folder, with its own closing line; no test at all is a failure.

Without arguments all tests run, files spread over four processes, each with a stack of its own; with arguments pytest
gets just these.
"""

from __future__ import annotations

import os
import sys

import pytest

from scripts.native.paths import REPO

# two for each of two cores, because tests wait for other processes half of their time
PROCESSES = 4
# files in the order of tests/conftest.py, where the long ones come first
SPREAD = ("--dist=loadfile", "--no-loadscope-reorder")


def main(arguments: list[str]) -> int:
    """Runs the named tests (all by default); pytest's status, 5 (no test ran) included."""
    os.chdir(REPO)
    # tests start hundreds of Python processes, and each would compile all modules anew
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return int(pytest.main(arguments or ["-q", f"--numprocesses={PROCESSES}", *SPREAD]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
