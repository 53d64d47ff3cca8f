"""The commands around the stack: ``./scripts/stack run`` and ``./scripts/dev``."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from scripts.native import arguments, leftovers, outside, paths, ports, postgres, school
from scripts.native.home import Home
from scripts.native.keys import Keys
from scripts.native.outside import NoPlaceFound
from scripts.native.postgres import PostgresFailed
from scripts.native.processes import PartFailed, Watchdog
from scripts.native.programs import SetUpFailed
from scripts.native.stack import Options, Stack

DEV_PORT = 54321
FAILURES = (PartFailed, PostgresFailed, SetUpFailed, NoPlaceFound)


@contextlib.contextmanager
def ending_in_good_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block like Ctrl-C does: by an exception, so that everything is torn down."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(given: argparse.Namespace) -> int:
    """A fresh stack, a command against it, everything gone; the command's exit status."""
    arguments.check_command(given.command[0])
    options = Options(
        without=given.without,
        settings=dict(given.set),
        postgres=dict(given.postgres),
        quiet=given.quiet,
    )
    with Stack(options) as stack:
        process = subprocess.Popen(given.command, env={**os.environ, **stack.exports()})
        stack.watchdog.watch_tree(process.pid)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            raise
        finally:
            stack.watchdog.forget(process.pid)
        for part in stack.failed_parts():
            print(f"{part.name} ended by itself.\n{postgres.tail(part.log)}", file=sys.stderr)
        # a shell's way to say "ended by signal N"
        return code if code >= 0 else 128 - code


def tell(text: str) -> None:
    """One line of what dev found before its stack starts."""
    print(f"headstart: {text}", file=sys.stderr, flush=True)


def dev(given: argparse.Namespace) -> int:
    """The stack in the foreground, with seed data and a database that stays; Ctrl-C stops everything."""
    if given.supabase:
        return dev_against_supabase(given)
    with Home(given.home) as home:
        if given.fresh:
            home.forget()
        home.check()
        names = ("the one origin", "PostgreSQL", "the Canvas stand-in")
        if given.port:
            gateway, database, canvas = (ports.chosen(given.port + n, name) for n, name in enumerate(names))
        else:
            gateway, database, canvas = (ports.preferred(DEV_PORT + n, name, tell) for n, name in enumerate(names))
        if home.is_made and home.seed_is_stale():
            tell("supabase/seed.sql has changed since this database was made; --fresh makes one with the new seed")
        options = Options(
            settings=dict(given.set),
            home=home,
            keys=Keys.kept(paths.STATE / "keys.json"),
            dotenv=True,
            reload=given.reload,
            gateway_port=gateway,
            postgres_port=database,
        )
        with contextlib.ExitStack() as running:
            stack = running.enter_context(Stack(options))
            home.tell_owner(f"process {os.getpid()}, which serves at {stack.url}")
            school.store_files(stack)
            running.enter_context(school.canvas(stack, canvas))
            for name, value in stack.exports().items():
                print(f"{name}={value}")
            print(school.accounts(stack.db_url))
            print(
                f"OpenAPI page: {stack.functions_url}/docs\nMails:        {stack.url}/mail\n"
                f"Ctrl-C stops everything; the database stays in {home.data.parent}",
                flush=True,
            )
            return watch(stack)


def watch(stack: Stack) -> int:
    """Waits until Ctrl-C or until a part ends by itself."""
    while True:
        for part in stack.failed_parts():
            print(f"{part.name} ended by itself.\n{postgres.tail(part.log)}", file=sys.stderr)
            return 1
        time.sleep(0.5)


def dev_against_supabase(given: argparse.Namespace) -> int:
    """Functions and worker alone, against the project that .env or the environment names (hosted or in Docker)."""
    from functions.shared.settings import SettingError, load_settings

    arguments.check_settings()
    try:
        settings = load_settings()
    except SettingError as error:
        raise SetUpFailed(str(error)) from None
    bind = f"127.0.0.1:{ports.chosen(given.port or settings.port, 'the functions')}"
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py", "--bind", bind]
    commands: dict[str, Sequence[str]] = {
        "functions": [*gunicorn, *(["--reload"] if given.reload else []), "functions.app:create_app()"],
        "worker": [sys.executable, "-m", "functions.worker"],
    }
    environment = {**os.environ, **dict(given.set)}
    run_id = f"supabase-{secrets.token_hex(4)}"
    home, lock = leftovers.new_run(outside.reachable(paths.STATE / "run"), run_id)
    with lock:
        watchdog = Watchdog(run_id)
        watchdog.remove(home)
        environment |= watchdog.mark
        running = {name: subprocess.Popen(line, cwd=paths.REPO, env=environment) for name, line in commands.items()}
        try:
            print(f"functions serve at http://{bind}/functions/v1; Ctrl-C stops functions and worker", flush=True)
            while True:
                for name, process in running.items():
                    if process.poll() is not None:
                        print(f"{name} ended by itself with {process.returncode}", file=sys.stderr)
                        return 1
                time.sleep(0.5)
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait(15)
            watchdog.dismiss()


def main(argv: Sequence[str]) -> int:
    """Parses, runs, and turns failures into one readable message and a status."""
    given = arguments.of_stack(argv)
    try:
        with ending_in_good_order():
            return run(given) if given.verb == "run" else dev(given)
    except arguments.Refused as refusal:
        print(f"headstart: {refusal}", file=sys.stderr)
        return refusal.status
    except FAILURES as failure:
        print(f"\nThe stack did not start: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
