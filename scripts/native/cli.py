"""The commands around the stack: ``run``, ``dev`` and the demo's frame. ./scripts/stack and ./scripts/dev call it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from scripts.native import paths, postgres
from scripts.native.postgres import PostgresFailed
from scripts.native.processes import PartFailed
from scripts.native.stack import Options, SetUpFailed, Stack

PARTS = ("functions", "worker", "model")
DEV_GATEWAY_PORT, DEV_POSTGRES_PORT = 54321, 54322


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` taken apart."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def parts(text: str) -> frozenset[str]:
    """A comma-separated list of parts to leave out."""
    names = frozenset(filter(None, text.split(",")))
    if names - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown part in {text!r}; known: {', '.join(PARTS)}")
    return names


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


def run(arguments: argparse.Namespace) -> int:
    """A fresh stack, a command against it, everything gone; the command's exit status."""
    options = Options(
        without=arguments.without,
        settings=dict(arguments.set),
        postgres=dict(arguments.postgres),
        quiet=arguments.quiet,
    )
    with Stack(options) as stack:
        command = arguments.command or ["true"]
        process = subprocess.Popen(command, env={**os.environ, **stack.exports()})
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
            stack.watchdog.forget(process)
        for part in stack.failed_parts():
            print(f"{part.name} ended by itself.\n{postgres.tail(part.log)}", file=sys.stderr)
        # a shell's way to say "ended by signal N"
        return code if code >= 0 else 128 - code


def port_or_free(port: int) -> int:
    """The well-known port when nobody has it, else a free one."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return postgres.free_port()
    return port


def dev(arguments: argparse.Namespace) -> int:
    """The stack in the foreground, with seed data and a database that stays; Ctrl-C stops everything."""
    if arguments.supabase:
        return dev_against_supabase()
    data = arguments.home.resolve() / "data"
    if arguments.fresh:
        postgres.remove_data(data)
    first = not (postgres.data_home(data) / "PG_VERSION").exists()
    options = Options(
        settings=dict(arguments.set),
        data=data,
        gateway_port=port_or_free(DEV_GATEWAY_PORT),
        postgres_port=port_or_free(DEV_POSTGRES_PORT),
    )
    with Stack(options) as stack:
        seed = paths.REPO / "supabase" / "seed.sql"
        if first and seed.exists():
            stack.server.psql(seed)
            stack.say("seed.sql is loaded")
        for name, value in stack.exports().items():
            print(f"{name}={value}")
        print(
            f"OpenAPI page: {stack.functions_url}/docs\nCtrl-C stops everything; the database stays in {data}",
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


def dev_against_supabase() -> int:
    """Functions and worker alone, against the project that .env or the environment names (hosted or in Docker)."""
    from functions.shared.settings import load_settings

    load_settings()  # a missing setting stops here, with its name
    bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py", "--bind", bind]
    commands: list[Sequence[str]] = [
        [*gunicorn, "functions.app:create_app()"],
        [sys.executable, "-m", "functions.worker"],
    ]
    running = [subprocess.Popen(command, cwd=paths.REPO) for command in commands]
    print(f"functions serve at http://{bind}/functions/v1; Ctrl-C stops functions and worker", flush=True)
    try:
        while all(process.poll() is None for process in running):
            time.sleep(0.5)
        return 1
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(15)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="./scripts/stack", description=__doc__)
    verbs = top.add_subparsers(required=True)
    one = verbs.add_parser("run", help="a fresh, throw-away stack; runs CMD against it and exits with its status")
    one.add_argument(
        "--set", type=pair, action="append", default=[], metavar="K=V", help="setting of functions, worker"
    )
    one.add_argument("--postgres", type=pair, action="append", default=[], metavar="K=V", help="server setting")
    one.add_argument("--without", type=parts, default=frozenset(), help="parts to leave out, of " + ",".join(PARTS))
    one.add_argument("--quiet", action="store_true", help="no progress lines")
    one.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    one.set_defaults(act=run)
    two = verbs.add_parser("dev", help="the stack in the foreground for a front-end developer")
    two.add_argument(
        "--set", type=pair, action="append", default=[], metavar="K=V", help="setting of functions, worker"
    )
    home = paths.STATE / "dev"
    two.add_argument("--home", type=Path, default=home, help="where the database and the keys stay")
    two.add_argument("--fresh", action="store_true", help="forget the database that an earlier dev left")
    two.add_argument("--supabase", action="store_true", help="functions and worker only, against the project in .env")
    two.set_defaults(act=dev)
    return top


def main(argv: Sequence[str]) -> int:
    """Parses, runs, and turns failures into one readable message and a status."""
    arguments = parser().parse_args(argv)
    if getattr(arguments, "command", None) and arguments.command[0] == "--":
        arguments.command = arguments.command[1:]
    try:
        with ending_in_good_order():
            return int(arguments.act(arguments))
    except (PartFailed, PostgresFailed, SetUpFailed) as failure:
        print(f"\nThe stack did not start: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
