"""``./scripts/check``: format, lint, types, generated files fresh; under a minute, before every commit."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from scripts.native import generate, sql_format
from scripts.native.paths import REPO, VENV_BIN


def tool(*command: str) -> Callable[[], str]:
    """A check by a command-line tool: its output when it fails, nothing when it passes."""

    def run() -> str:
        done = subprocess.run([str(VENV_BIN / command[0]), *command[1:]], cwd=REPO, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    return run


CHECKS: dict[str, Callable[[], str]] = {
    "format": tool("ruff", "format", "--check", "--quiet", "."),
    "SQL format": sql_format.stale,
    "lint": tool("ruff", "check", "--quiet", "."),
    "types": tool("mypy", "--no-error-summary"),
    "generated files": generate.stale,
}


def main() -> int:
    """Runs every check, even after a failure; 1 when any failed."""
    failed = 0
    for name, check in CHECKS.items():
        began = time.monotonic()
        problem = check()
        print(f"{'FAILED' if problem else 'ok':7}{name} ({time.monotonic() - began:.1f} s)", flush=True)
        if problem:
            failed = 1
            print(problem, file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
