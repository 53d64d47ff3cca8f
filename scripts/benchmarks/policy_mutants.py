"""``./scripts/bench policy-mutants``: would the database's tests notice if a right were wrong?

Over the whole schema, one change at a time: a policy dropped, its ``using`` or ``with check`` turned into true, row
level security switched off, a column granted again, a function's search path let loose, an execute right given away, a
view turned definer, a condition struck from a function that policies ask. Two processes make the changes and call the
very tests of tests/database on them: guards and access matrix first, the rooms' own tests on what these miss. Prints
killed and total by kind, and the survivors; so do Ctrl-C and SIGTERM, of what was judged until then.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import queue
import re
import signal
import time
from collections import Counter
from typing import Any

import psycopg

from scripts.benchmarks._mutants import HARMLESS, Mutant, mutants
from scripts.native import schema
from scripts.native.auth import AUTH_SCHEMA
from scripts.native.stack import Options, Stack
from tests.support.mutant_judge import TEMPLATE, Verdict, work

WANTED_SHARE = 0.95
PROCESSES = 2
JUDGES = ("guards", "matrix", "rooms")
# functions are counted, so that a changed one is only tried on what calls it; no test may wait for ever
SETTINGS = {"track_functions": "all", "statement_timeout": "60s", "synchronous_commit": "off"}


def main(argv: list[str]) -> int:
    """Runs all mutants; 1 when fewer than 95 in 100 are noticed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="./scripts/bench policy-mutants", description=__doc__)
    parser.add_argument("--kind", action="append", help="only mutants of this kind; may be repeated")
    parser.add_argument("--only", help="only mutants whose name matches this regular expression")
    parser.add_argument(
        "--without-guards", action="store_true", help="ask only tests of what people can do, not those of the catalogue"
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = Options(without=frozenset({"functions", "worker", "model"}), postgres=SETTINGS, quiet=True)
    with Stack(options) as stack:
        # a template may have no connections, and the running parts keep theirs to the stack's own database
        stack.server.execute(f"create database {TEMPLATE} owner postgres", user="supabase_admin")
        stack.server.bootstrap(AUTH_SCHEMA, database=TEMPLATE)
        stack.server.psql(*schema.design(), database=TEMPLATE)
        with psycopg.connect(stack.server.url(database=TEMPLATE)) as db:
            chosen = [
                mutant
                for mutant in mutants(db)
                if (not arguments.kind or mutant.kind in arguments.kind)
                and re.search(arguments.only or "", mutant.name)
            ]
        return Run(stack, chosen, with_guards=not arguments.without_guards).run()


class Run:
    """The mutants of one run and what became of them."""

    def __init__(self, stack: Stack, chosen: list[Mutant], *, with_guards: bool) -> None:
        self.stack, self.chosen, self.with_guards = stack, chosen, with_guards
        self.verdicts: dict[Mutant, Verdict] = {}
        self.began = time.monotonic()
        self.said = self.began

    def run(self) -> int:
        """Judges all; the exit status."""
        context = multiprocessing.get_context("spawn")
        tasks, results = context.Queue(), context.Queue()
        tasks.cancel_join_thread()  # an interrupted run leaves mutants that nobody takes
        for mutant in self.chosen:
            tasks.put(mutant)
        server = dataclasses.replace(self.stack.server, process=None)
        workers = [
            context.Process(target=work, args=(server, number, tasks, results, self.with_guards), daemon=True)
            for number in range(PROCESSES)
        ]
        for worker in workers:
            tasks.put(None)
            worker.start()
        try:
            self._collect(results, workers)
        except KeyboardInterrupt:
            self.report()
            return 130
        finally:
            for worker in workers:
                worker.terminate()
                worker.join()
        return self.report()

    def _collect(self, results: Any, workers: list[Any]) -> None:
        while len(self.verdicts) < len(self.chosen):
            try:
                result = results.get(timeout=5)
            except queue.Empty:
                if not any(worker.is_alive() for worker in workers):
                    print("the processes ended before their work was done", flush=True)
                    return
                continue
            if isinstance(result, str):
                print(result, flush=True)
            elif result is not None:
                mutant, verdict = result
                self.verdicts[mutant] = verdict
                self._progress(mutant, verdict)

    def _progress(self, mutant: Mutant, verdict: Verdict) -> None:
        seconds = time.monotonic() - self.began
        if verdict.by == "rooms":
            print(f"[{seconds:4.0f} s] {mutant.title}: {verdict.which}", flush=True)
        elif verdict.by is None:
            print(f"[{seconds:4.0f} s] {mutant.title}: {verdict.unmade or 'SURVIVED'}", flush=True)
        if time.monotonic() - self.said > 10 or len(self.verdicts) == len(self.chosen):
            self.said = time.monotonic()
            print(f"[{seconds:4.0f} s] {len(self.verdicts)} of {len(self.chosen)}", flush=True)

    def report(self) -> int:
        """The table and the survivors; 1 when too many live or not all were judged."""
        made = {mutant: verdict for mutant, verdict in self.verdicts.items() if not verdict.unmade}
        total = Counter(mutant.kind for mutant in made)
        killed = Counter((mutant.kind, verdict.by) for mutant, verdict in made.items())
        print(f"\n{'kind':20}" + "".join(f"{head:>10}" for head in ("total", *JUDGES, "survived")))
        for kind in sorted(total):
            print(f"{kind:20}{total[kind]:10}" + "".join(f"{killed[kind, by]:10}" for by in (*JUDGES, None)))
        sums = Counter(verdict.by for verdict in made.values())
        print(f"{'all':20}{len(made):10}" + "".join(f"{sums[by]:10}" for by in (*JUDGES, None)))
        for mutant in sorted(self.chosen, key=lambda each: (each.kind, each.name)):
            if mutant not in self.verdicts:
                continue
            if unmade := self.verdicts[mutant].unmade:
                print(f"NOT MADE {mutant.title}: {unmade}")
            elif self.verdicts[mutant].by is None:
                why = HARMLESS.get(mutant.title)
                print(f"SURVIVED {mutant.title}{f' ({why})' if why else ''}")
        dead = len(made) - sums[None]
        share = dead / max(1, len(made))
        seconds = time.monotonic() - self.began
        print(f"\n{dead} of {len(made)} killed ({share:.1%}) in {seconds:.0f} s")
        unjudged = len(self.chosen) - len(self.verdicts)
        if unjudged:
            print(f"{unjudged} not judged")
        return 0 if share >= WANTED_SHARE and not unjudged else 1
