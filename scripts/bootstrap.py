"""Sets up what the project's commands need, then runs one of its modules.

    python3 scripts/bootstrap.py -m scripts.native.cli run ...

Standard library only: it runs on a machine that has Python 3.11+, Node and the package registries, nothing of ours.
Python packages land in .venv, command-line parts in node_modules; each is set up again only when its list changed.
Whatever would stop the command is looked for first, because installing takes minutes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

REPO = Path(__file__).resolve().parent.parent
STATE = REPO / ".stack"
LOG = STATE / "setup.log"
VENV = REPO / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
PACKAGES = ("requirements.txt", "requirements-dev.txt")
PROGRAMS = ("package.json", "package-lock.json")
MIN_NODE = 20
INTERRUPTED = 130


def fail(message: str, status: int = 1) -> NoReturn:
    """Says in a sentence what is missing, and stops."""
    print(f"headstart: {message}", file=sys.stderr)
    sys.exit(status)


def digest(*files: str) -> str:
    """One hash over several files of the repository."""
    return hashlib.sha256(b"\0".join((REPO / file).read_bytes() for file in files)).hexdigest()


def step(what: str, command: list[str]) -> None:
    """Runs one set-up command; on failure shows the end of its log and stops."""
    print(f"headstart: {what} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    with LOG.open("wb") as out:
        code = subprocess.run(command, cwd=REPO, stdout=out, stderr=out, check=False).returncode
    if code:
        fail(f"{what} failed:\n" + "\n".join(LOG.read_text(errors="replace").splitlines()[-25:]))
    print(f"headstart: {what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def check_node() -> str:
    """Where npm is, when it and a Node that is new enough are on PATH."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        missing = "Node" if node is None else "npm"
        fail(f"{missing} is not on PATH: install Node {MIN_NODE} or newer, which brings PostgREST and the supabase CLI")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < MIN_NODE:
        found = version or "one that does not run"
        fail(f"Node {MIN_NODE} or newer is needed and {found} is on PATH: install a newer one")
    return npm


def set_up() -> None:
    """Brings .venv and node_modules in line with their lists; two starts at once wait for each other."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        node_modules = digest(*PROGRAMS)
        node_mark = REPO / "node_modules" / ".made-from"
        packages = digest(*PACKAGES)
        mark = VENV / "made-from"
        npm = None if is_marked(node_mark, node_modules) else check_node()
        if not is_marked(mark, packages):
            if not VENV_PYTHON.exists() or not mark.exists():
                # --clear: an interrupted start may have left half of it
                step("making .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])
            mark.write_text("unfinished")
            pip = [
                str(VENV_PYTHON),
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "-r",
                "requirements-dev.txt",
            ]
            step("installing Python packages", pip)
            mark.write_text(packages)
        if npm:
            # not "npm ci": it refuses a lock file that lacks the optional binaries of other systems, and which of those
            # a registry carries differs; versions are exact either way
            step("installing command-line parts", [npm, "install", "--no-save", "--no-fund", "--no-audit"])
            node_mark.write_text(node_modules)


def is_marked(mark: Path, wanted: str) -> bool:
    """Whether the mark says that its folder is complete and made from the lists of now."""
    return mark.exists() and mark.read_text() == wanted


def main() -> None:
    """Reads the command line, sets up, then becomes the module."""
    sys.path.insert(0, str(REPO))
    from scripts.native import arguments

    try:
        arguments.check(sys.argv[2], sys.argv[3:])
        set_up()
    except arguments.Refused as refusal:
        fail(str(refusal), refusal.status)
    except OSError as error:
        fail(f"cannot write into {REPO} ({error}): .venv, node_modules and .stack are made there")
    except KeyboardInterrupt:
        fail("interrupted; the next start carries on with installing", INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))}
    environment["PATH"] = os.pathsep.join([str(REPO / ".venv" / "bin"), environment.get("PATH", "")])
    os.execve(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
