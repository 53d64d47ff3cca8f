"""One process of ``./scripts/bench policy-mutants``: makes one change after another and asks the tests about it.

First the guards and the access matrix, in a transaction that holds the seeded school and is taken back to before the
change; then, for what these miss, every test of the rooms, in a copy of the database that has the change for good.
The rooms' tests are collected by pytest once and called one by one in this process, on one connection.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Queue
from typing import Any

import psycopg
import pytest
from _pytest.fixtures import SubRequest
from _pytest.runner import runtestprotocol

from scripts.benchmarks._mutants import Connection, Mutant
from scripts.native import access
from scripts.native.postgres import Server
from tests.database.access import test_cells, test_unfiltered
from tests.database.guards import test_catalogue, test_privileges
from tests.support.school import School

MATRIX = access.read()
OF_GRANTS = {"anon select", "truncate", "column granted", "anon execute", "client execute"}
SILENT = {"using true", "check true", "policy dropped", "helper condition"}  # a write that looks at nothing may show it
ELSEWHERE = ("history", "access", "guards")  # folders of tests/database that are no rooms
TEMPLATE = "mutants_template"
SLOW = 25  # a test that takes so many times what the middle one takes
RED = "{} is red without a change: not used"

Check = Callable[[], object]


@dataclass(frozen=True)
class Verdict:
    """Who noticed a change: ``guards``, ``matrix`` or ``rooms`` and there which one; nobody when ``by`` is None.

    ``unmade`` is why the database did not take the change at all.
    """

    by: str | None = None
    which: str = ""
    unmade: str = ""


def copy_of_template(server: Server, name: str) -> str:
    """A fresh copy of the database as designed; its URL as ``postgres``."""
    server.execute(f"drop database if exists {name} with (force)", user="supabase_admin", database="template1")
    server.execute(
        f"create database {name} owner postgres template {TEMPLATE}", user="supabase_admin", database="template1"
    )
    return server.url(database=name)


def counts(db: Connection, view: str) -> dict[str, int]:
    """How often each function was called, as one of the statistics views knows it."""
    return dict(db.execute(f"select funcid::regprocedure::text, calls from {view}".encode()))


class Matrix:
    """The guards and the access matrix on a seeded school, in one transaction.

    What is red already without a change says nothing later and is left out; ``remark`` is told.
    """

    def __init__(self, url: str, remark: Callable[[str], None], *, with_guards: bool) -> None:
        self.db = psycopg.connect(url)
        self.school = School(self.db)
        self.remark = remark
        self.guards = {guard.name: guard for guard in test_catalogue.GUARDS if with_guards}
        for name in list(self.guards):
            if self._is_red(partial(self._guard, name)):
                remark(RED.format(f"guard '{name}'"))
                del self.guards[name]
        self.has_manifest = with_guards and not self._is_red(self._manifest)
        if with_guards and not self.has_manifest:
            remark(RED.format("the privilege manifest"))
        # by kind of change: the guards, and for helpers the relations, that noticed one; the last first
        self.successful: defaultdict[str, list[str]] = defaultdict(list)
        self.red: set[str] = set()  # relations
        self.callers = self._callers()

    def _callers(self) -> defaultdict[str, set[str]]:
        """The relations whose cells call each function; the cells of the others cannot notice a change in it."""
        calls: dict[str, int] = {}
        callers: defaultdict[str, set[str]] = defaultdict(set)
        for name in MATRIX.relations:
            red = [self._is_red(check) for check in self._of_relation(name, None, with_writes=True)]
            if any(red):
                self.remark(RED.format(f"the cells of {name}"))
                self.red.add(name)
            now = counts(self.db, "pg_stat_xact_user_functions")
            for function, count in now.items():
                if count > calls.get(function, 0):
                    callers[function].add(name)
            calls = now
        return callers

    def judge(self, mutant: Mutant) -> Verdict:
        """The first of them that notices the change; the change is undone."""
        with self.db.transaction(force_rollback=True):
            try:
                with self.db.transaction():
                    self.db.execute(mutant.statement.encode())
            except psycopg.Error as error:
                return Verdict(unmade=f"{error.sqlstate} {error.diag.message_primary}")
            for by, which, check in self._checks(mutant):
                if self._is_red(check):
                    self._remember(mutant.kind, which)
                    return Verdict(by, which)
        return Verdict()

    def _is_red(self, check: Check) -> bool:
        try:
            with self.db.transaction(force_rollback=True):
                check()
        except (AssertionError, psycopg.Error):
            return True
        return False

    def _remember(self, kind: str, which: str) -> None:
        known = self.successful[kind]
        if which in known:
            known.remove(which)
        known.insert(0, which)

    def _checks(self, mutant: Mutant) -> Iterator[tuple[str, str, Check]]:
        """The likeliest first."""
        if mutant.kind in OF_GRANTS and self.has_manifest:
            yield "guards", "privileges", self._manifest
        known = list(self.successful[mutant.kind])
        guards = [name for name in known if name in self.guards]
        for name in guards:
            yield "guards", name, partial(self._guard, name)
        for name in self._relations(mutant, known):
            for check in self._of_relation(name, mutant.command, with_writes=mutant.kind in SILENT):
                yield "matrix", name, check
        for name in self.guards:
            if name not in guards:
                yield "guards", name, partial(self._guard, name)
        if mutant.kind not in OF_GRANTS and self.has_manifest:
            yield "guards", "privileges", self._manifest

    def _relations(self, mutant: Mutant, known: list[str]) -> list[str]:
        """Whose cells may notice the change: of a helper all that call it, those first that noticed another."""
        if mutant.table:
            found = {mutant.table}
        elif mutant.function:
            found = self.callers[mutant.function]
        else:
            found = self._askers(mutant.view) if mutant.view else set()
        found = (found & set(MATRIX.relations)) - self.red
        return sorted(found, key=lambda name: (known.index(name) if name in known else len(known), name))

    def _askers(self, view: str) -> set[str]:
        """Relations whose policies read a view, and those whose cells call a function that reads it."""
        policies = "select tablename from pg_policies where strpos(concat(qual, with_check), %s) > 0"
        functions = "select oid::regprocedure::text from pg_proc where strpos(prosrc, %s) > 0"
        views = """select oid::regclass::text from pg_class
            where relkind = 'v' and relnamespace = 'private'::regnamespace and strpos(pg_get_viewdef(oid), %s) > 0"""
        found = {name for (name,) in self.db.execute(policies, (view,))}
        for (name,) in self.db.execute(functions, (view,)).fetchall():
            found |= self.callers[name]
        for (name,) in self.db.execute(views, (view,)).fetchall():
            found |= self._askers(name)
        return found

    def _of_relation(self, name: str, command: str | None, *, with_writes: bool) -> Iterator[Check]:
        yield lambda: self._cells(name, command)
        if not with_writes or name not in test_unfiltered.TABLES:
            return
        if command in ("insert", None):
            yield lambda: test_unfiltered.test_an_insert_without_an_answer_is_judged_the_same(self.school, name)
        if command in ("update", "delete", None):
            yield lambda: test_unfiltered.test_a_write_without_a_condition_stays_within_sight(self.school, name)

    def _cells(self, name: str, command: str | None) -> None:
        with contextlib.closing(test_cells.differences(self.school, name, command)) as found:
            assert next(found, None) is None

    def _manifest(self) -> None:
        assert test_privileges.difference(self.db) == []

    def _guard(self, name: str) -> None:
        assert test_catalogue.offenders(self.db, self.guards[name]) == []


@dataclass
class RoomTest:
    """A test of a room, what it says, how long it takes (seconds), and what it calls: None where that is not known."""

    item: pytest.Item
    text: str
    seconds: float
    calls: set[str] | None

    def names(self, mutant: Mutant) -> bool:
        """Whether the test's file names what was changed."""
        return any(word in self.text for word in mutant.words)


class Rooms:
    """pytest with the rooms' tests; its loop is ours, and the fixture ``db`` is one connection."""

    def __init__(
        self, server: Server, number: int, tasks: Queue[Any], results: Queue[Any], *, with_guards: bool
    ) -> None:
        self.server, self.number, self.tasks, self.results = server, number, tasks, results
        self.with_guards = with_guards
        self.name = f"rooms_{number}"
        self.db: Connection | None = None
        self.changed = False
        self.tests: list[RoomTest] = []
        self.slow_seconds = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: SubRequest) -> Any:
        """The fixture ``db`` keeps its connection from test to test, which saves most of their time."""
        if fixturedef.argname != "db":
            return None
        assert self.db is not None
        fixturedef.cached_result = (self.db, fixturedef.cache_key(request), None)
        fixturedef.addfinalizer(self.db.rollback)
        return self.db

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Takes changes and hands back verdicts until there are no more."""
        # the processes learn the same: one of them speaks
        remark = self.results.put if self.number == 0 else lambda _: None
        url = copy_of_template(self.server, f"school_{self.number}")
        matrix = Matrix(url, remark, with_guards=self.with_guards)
        while (mutant := self.tasks.get()) is not None:
            verdict = matrix.judge(mutant)
            if not (verdict.by or verdict.unmade):
                if not self.tests:
                    self._learn(session.items, remark)
                verdict = self.judge(mutant)
            self.results.put((mutant, verdict))
        matrix.db.close()
        if self.db is not None:
            self.db.close()
        return True

    def _learn(self, items: list[pytest.Item], remark: Callable[[str], None]) -> None:
        """Runs every test once without a change: one that is red already says nothing later."""
        self._fresh()
        before: dict[str, int] = {}
        for item in items:
            began = time.monotonic()
            if self._is_red(item):
                remark(RED.format(item.nodeid))
                continue
            seconds = time.monotonic() - began
            now = self._counted()
            calls = {name for name, count in now.items() if count > before.get(name, 0)}
            before = now
            alone = "race" not in item.fixturenames and "db_url" not in inspect.signature(item.obj).parameters  # type: ignore[attr-defined]
            text = inspect.getsource(inspect.getmodule(item.obj))  # type: ignore[arg-type, attr-defined]
            self.tests.append(RoomTest(item, text, seconds, calls if alone else None))
        self.slow_seconds = SLOW * statistics.median(test.seconds for test in self.tests)

    def _counted(self) -> dict[str, int]:
        """How often each function was called so far, by sessions that are done."""
        assert self.db is not None
        self.db.execute("select pg_stat_force_next_flush()")
        self.db.rollback()
        counted = counts(self.db, "pg_stat_user_functions")
        self.db.rollback()
        return counted

    def _fresh(self) -> None:
        """A database as designed, without rows."""
        if self.db is not None:
            self.db.close()
        self.db = psycopg.connect(copy_of_template(self.server, self.name), prepare_threshold=None)
        self.changed = False

    def _change(self, mutant: Mutant) -> None:
        """Makes the change in a database that has no other."""
        if self.changed:
            self._fresh()
        self.server.execute(mutant.statement, database=self.name)
        self.changed = True

    def _is_red(self, item: pytest.Item) -> bool:
        return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))

    def judge(self, mutant: Mutant) -> Verdict:
        """The first of the rooms' tests that turns red, and is green again without the change."""
        self._change(mutant)
        for test in self._in_order(mutant):
            if self._is_red(test.item):
                self._fresh()
                if not self._is_red(test.item):
                    return Verdict("rooms", test.item.nodeid)
                self._change(mutant)
        return Verdict()

    def _in_order(self, mutant: Mutant) -> Iterator[RoomTest]:
        """Tests that name what was changed come first, then the others, the quick ones each time.

        Of a changed helper those that call it are run; of others, slow tests only where they name what was changed.
        """
        for test in sorted(self.tests, key=lambda test: (not test.names(mutant), test.seconds)):
            if mutant.function and test.calls is not None:
                wanted = mutant.function in test.calls
            else:
                wanted = test.seconds < self.slow_seconds or test.names(mutant)
            if wanted:
                yield test


def work(server: Server, number: int, tasks: Queue[Any], results: Queue[Any], with_guards: bool) -> None:
    """The process: judges what ``tasks`` brings until None; ``results`` gets (mutant, verdict) and remarks.

    Ctrl-C is the parent's to answer.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["SUPABASE_DB_URL"] = server.url(database=f"rooms_{number}")
    ignored = [f"--ignore=tests/database/{folder}" for folder in ELSEWHERE]
    arguments = [
        "tests/database",
        "-o",
        "addopts=--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:terminal",
        "--capture=sys",
        *ignored,
    ]
    try:
        status = pytest.main(arguments, plugins=[Rooms(server, number, tasks, results, with_guards=with_guards)])
        results.put(None if status == pytest.ExitCode.OK else f"pytest ended with {status}")
    except BaseException as error:
        results.put(f"process {number}: {type(error).__name__}: {error}")
        raise
