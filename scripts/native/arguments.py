"""The command lines of ./scripts/stack, ./scripts/dev and ./scripts/demo, read before anything long begins.

Standard library only: scripts/bootstrap.py reads them before it installs a single package, so that a mistyped call
fails at once and not after minutes of installing.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.native import paths

PARTS = ("functions", "worker", "model", "storage", "panopto", "github")
SETTINGS_OF_A_PROJECT = ("SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "ENCRYPTION_KEYS")
NOT_EXECUTABLE, NOT_FOUND = 126, 127


class Refused(Exception):
    """The call cannot work; the message says why, ``status`` is the command's exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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


def port(text: str) -> int:
    """A TCP port whose two neighbours above are ports too."""
    if not text.isdecimal() or not 1 <= int(text) <= 65533:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 1 and 65533")
    return int(text)


def of_stack(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of ``stack run`` and of ``dev``; ``verb`` tells which.

    :raise SystemExit: 2 after a usage message, 0 after --help
    """
    verbs = {"run": of_run, "dev": of_dev}
    if argv[:1] and argv[0] in verbs:
        given = verbs[argv[0]](argv[1:])
        given.verb = argv[0]
        return given
    top = argparse.ArgumentParser(prog="./scripts/stack", description="The platform on this machine.")
    help_text = "run: a throw-away stack for one command; dev: the one of ./scripts/dev. Each has a --help of its own"
    top.add_argument("verb", choices=verbs, help=help_text)
    return top.parse_args(argv)


def with_settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The same parser with --set, which both commands have."""
    help_text = "setting of functions and worker"
    parser.add_argument("--set", type=pair, action="append", default=[], metavar="K=V", help=help_text)
    return parser


def of_run(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of ``stack run``."""
    what = "A fresh, throw-away stack; runs CMD against it and exits with its status."
    parser = with_settings(argparse.ArgumentParser(prog="./scripts/stack run", description=what))
    parser.add_argument("--postgres", type=pair, action="append", default=[], metavar="K=V", help="server setting")
    parser.add_argument("--without", type=parts, default=frozenset(), help=f"parts to leave out, of {','.join(PARTS)}")
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...")
    given = parser.parse_args(argv)
    given.command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not given.command:
        parser.error("name the command to run after --, for example: ./scripts/stack run -- env")
    return given


def of_dev(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of ``dev``."""
    what = "The stack in the foreground for a front-end developer, with a seeded database that stays."
    parser = with_settings(argparse.ArgumentParser(prog="./scripts/dev", description=what))
    home = paths.STATE / "dev"
    parser.add_argument("--home", type=Path, default=home, help="where the database stays (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="delete the database that an earlier dev left")
    parser.add_argument("--port", type=port, help="port of the one origin; database and Canvas get the next two")
    parser.add_argument(
        "--reload",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start functions and worker anew when their code changes",
    )
    parser.add_argument("--supabase", action="store_true", help="functions and worker only, for the project in .env")
    return parser.parse_args(argv)


def of_demo(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of ``demo``.

    :raise SystemExit: 2 after a usage message, 0 after --help
    """
    story = "The story from nothing: a student signs up, connects Canvas, syncs, and gets a headstart."
    parser = argparse.ArgumentParser(prog="./scripts/demo", description=story)
    parser.add_argument("--keep", action="store_true", help="leave the stack running afterwards, until Ctrl-C")
    return parser.parse_args(argv)


def check(module: str, argv: Sequence[str]) -> None:
    """Reads a command's line before anything is installed.

    :raise SystemExit: a usage message was written
    :raise Refused: the call cannot work
    """
    read: dict[str, Callable[[Sequence[str]], argparse.Namespace]] = {
        "scripts.native.cli": of_stack,
        "scripts.native.demo": of_demo,
    }
    if module not in read:
        return
    given = read[module](argv)
    if getattr(given, "verb", "") == "run" and paths.VENV_BIN.exists():
        check_command(given.command[0])
    if getattr(given, "supabase", False):
        check_settings()


def check_command(name: str) -> None:
    """Whether ``stack run`` can start its command.

    :raise Refused: with the status that a shell gives
    """
    search = os.pathsep.join([str(paths.VENV_BIN), os.environ.get("PATH", os.defpath)])
    if shutil.which(name, path=search):
        return
    if os.sep in name and Path(name).exists():
        raise Refused(NOT_EXECUTABLE, f"{name}: not an executable file")
    raise Refused(NOT_FOUND, f"{name}: command not found")


def check_settings() -> None:
    """Whether .env and the shell name a project.

    :raise Refused: they do not
    """
    lines = paths.DOTENV.read_text().splitlines() if paths.DOTENV.exists() else []
    pairs = [line.removeprefix("export ").partition("=") for line in lines]
    known = {name.strip() for name, _, value in pairs if value.strip()}
    known |= {name for name, value in os.environ.items() if value.strip()}
    missing = [name for name in SETTINGS_OF_A_PROJECT if name not in known]
    if missing:
        raise Refused(
            2,
            f"dev --supabase needs {', '.join(missing)}: copy .env.example to .env and fill it in "
            "(docs/environment.md explains every setting)",
        )
