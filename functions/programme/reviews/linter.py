"""What ruff says about the Python files. It only reads them, takes no settings from them, and runs in a child."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import ruff  # type: ignore[import-untyped]

# errors, likely bugs, complexity, and what is unsafe; taste is left to the people
RULES = "E9,F,PLE,B,C901,S"
# assertions and the passwords that our own scanner finds
IGNORED = "S101,S105,S106,S107,S311"
OPTIONS = (
    # no settings, no suppressions, no cache and no change: what is read decides nothing about how it is read
    *("--isolated", "--no-cache", "--no-respect-gitignore", "--no-fix", "--ignore-noqa", "--quiet", "--exit-zero"),
    *("--target-version", "py313", "--output-format", "json", "--select", RULES, "--ignore", IGNORED),
)
MAX_SECONDS = 60
MAX_MEMORY_BYTES = 2 * 1024**3
MAX_MESSAGE_CHARACTERS = 500


def lint(folder: str, most: int) -> list[dict[str, Any]]:
    """Lints the ``*.py`` of a folder. To be run in a child process.

    :param most: how many findings to return, spread over the rules
    :return: ``name`` of the file, ``line_start``, ``line_end``, ``rule``, ``message``, in the order of the files
    """
    if not any(Path(folder).glob("*.py")):
        return []
    done = subprocess.run(
        [ruff.find_ruff_bin(), "check", *OPTIONS, "."],
        cwd=folder,
        # of a pool of threads, each would count its stack as memory
        env={"RAYON_NUM_THREADS": "1", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=MAX_SECONDS,
        check=False,
    )
    found = [
        {
            "name": Path(one["filename"]).name,
            "line_start": one["location"]["row"],
            "line_end": one["end_location"]["row"],
            "rule": one["code"] or "syntax",
            "message": str(one["message"])[:MAX_MESSAGE_CHARACTERS],
        }
        for one in json.loads(done.stdout or b"[]")
    ]
    return spread(sorted(found, key=lambda one: (one["name"], one["line_start"], one["rule"])), most)


def spread(found: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many findings, taken from all rules in turn: one rule must not hide the others."""
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        by_rule.setdefault(one["rule"], []).append(one)
    taken: list[dict[str, Any]] = []
    while len(taken) < most and (left := [rest for rest in by_rule.values() if rest]):
        taken += [rest.pop(0) for rest in left[: most - len(taken)]]
    return sorted(taken, key=lambda one: (one["name"], one["line_start"], one["rule"]))
