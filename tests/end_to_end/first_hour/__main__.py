"""``python -m tests.end_to_end.first_hour [PART OF A NAME ...]``: tries the situations and prints them as a table."""

from __future__ import annotations

import sys
import time

from tests.end_to_end.first_hour.situations import CannotBeTried, checkout_for, situations


def main(parts: list[str]) -> int:
    """Tries all situations, or those whose name has one of the parts; 1 when any went otherwise than expected."""
    chosen = {name: found for name, found in situations().items() if not parts or any(part in name for part in parts)}
    failed = []
    print("| situation | expected | seen | s |\n|---|---|---|---|")
    for name, (expected, situation) in chosen.items():
        began, seen = time.monotonic(), "as expected"
        with checkout_for(situation) as checkout:
            try:
                situation(checkout)
            except CannotBeTried as reason:
                seen = f"not tried: {reason}"
            except Exception as error:
                seen = "OTHERWISE"
                failed.append(f"\n== {name}\n{type(error).__name__}: {error}")
        print(f"| {name} | {expected} | {seen} | {time.monotonic() - began:.0f} |", flush=True)
    print(f"\n{len(chosen)} situations, {len(failed)} otherwise than expected", *failed, sep="\n")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
