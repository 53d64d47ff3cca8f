"""``python -m tests.standins.catalogue --port N``: the stand-in in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.standins.catalogue import FAULTS, CatalogueStandIn


def main() -> None:
    """Listens, says where, and ends cleanly on SIGINT and SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.standins.catalogue", description="A course catalogue on a real port.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same courses")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="TERM=FAULT", help=f"one of {', '.join(FAULTS)}"
    )
    given = parser.parse_args()
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: over.set())
    with CatalogueStandIn(given.seed, given.port, given.host) as catalogue:
        for fault in given.fault:
            term, _, kind = fault.rpartition("=")
            if kind not in FAULTS:
                parser.error(f"unknown fault {kind}")
            catalogue.faults[term] = kind
        print(f"CATALOG_URL={catalogue.url}\nCATALOG_TERMS={';'.join(catalogue.terms)}", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
