"""``./scripts/bench NAME [options]``: one benchmark; prints the peer, ours and the ratio of one run."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def names() -> list[str]:
    """The benchmarks there are."""
    folder = Path(__file__).parent
    return sorted(file.stem.replace("_", "-") for file in folder.glob("[a-z]*.py"))


def main(argv: list[str]) -> int:
    """Runs the named benchmark; 2 for an unknown name."""
    if not argv or argv[0] not in names():
        print(f"usage: ./scripts/bench NAME [options]; NAME one of: {', '.join(names())}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"scripts.benchmarks.{argv[0].replace('-', '_')}")
    return int(module.main(argv[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
