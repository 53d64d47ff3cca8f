"""Sets up what the project's commands need, then runs one of its modules.

    python3 scripts/bootstrap.py -m scripts.native.cli run ...

Standard library only: it runs on a machine that has Python 3.11+, Node and the package registries, nothing of ours.
Python packages land in .venv, command-line parts in node_modules; each is set up again only when its list changed.
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

REPO = Path(__file__).resolve().parent.parent
VENV_PYTHON = REPO / ".venv" / "bin" / "python"
OLDEST = (3, 11)


def fail(message: str) -> None:
    """Says what is missing and stops."""
    sys.exit(f"headstart: {message}")


def suitable_python() -> str:
    """A Python of 3.11 or newer: this one, else one on PATH by its versioned name."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    fail(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}")
    raise AssertionError


def digest(*files: str) -> str:
    """One hash over several files of the repository."""
    return hashlib.sha256(b"\0".join((REPO / file).read_bytes() for file in files)).hexdigest()


def step(what: str, command: list[str], log: Path) -> None:
    """Runs one set-up command; on failure shows the end of its log and stops."""
    print(f"headstart: {what} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    with log.open("wb") as out:
        code = subprocess.run(command, cwd=REPO, stdout=out, stderr=out, check=False).returncode
    if code:
        fail(f"{what} failed:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]))
    print(f"headstart: {what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def set_up() -> None:
    """Brings .venv and node_modules in line with their lists; two starts at once wait for each other."""
    state = REPO / ".stack"
    state.mkdir(exist_ok=True)
    with (state / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = digest("requirements.txt", "requirements-dev.txt")
        mark = REPO / ".venv" / "made-from"
        if not VENV_PYTHON.exists() or not mark.exists() or mark.read_text() != wanted:
            if not VENV_PYTHON.exists():
                step("making .venv", [suitable_python(), "-m", "venv", str(REPO / ".venv")], state / "setup.log")
            pip = [
                str(VENV_PYTHON),
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "-r",
                "requirements-dev.txt",
            ]
            step("installing Python packages", pip, state / "setup.log")
            mark.write_text(wanted)
        wanted = digest("package.json", "package-lock.json")
        mark = REPO / "node_modules" / ".made-from"
        if not mark.exists() or mark.read_text() != wanted:
            npm = shutil.which("npm")
            if npm is None:
                fail("npm is not on PATH: Node 20 or newer is needed (it brings PostgREST and the supabase CLI)")
            # not "npm ci": it refuses a lock file that lacks the optional binaries of other systems, and which of those
            # a registry carries differs; versions are exact either way
            step(
                "installing command-line parts",
                [str(npm), "install", "--no-save", "--no-fund", "--no-audit"],
                state / "setup.log",
            )
            mark.write_text(wanted)


def main() -> None:
    """Sets up, then becomes the module."""
    set_up()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))}
    environment["PATH"] = os.pathsep.join([str(REPO / ".venv" / "bin"), environment.get("PATH", "")])
    os.execve(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
