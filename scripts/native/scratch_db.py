"""A throw-away database built from sql/ and policies/, for work on the schema.

    python -m scripts.native.scratch_db [-- COMMAND ...]

Without a command it prints the URL and waits for Ctrl-C. The command finds the URL in SUPABASE_DB_URL.
Every file loads in its own transaction; a refused one is reported and the rest still loads, so that work in one room
is not held up by another.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys

from scripts.native import leftovers, outside, paths, schema
from scripts.native.auth import AUTH_SCHEMA
from scripts.native.postgres import PostgresFailed, Server
from scripts.native.processes import Watchdog


def main(arguments: list[str]) -> int:
    """Builds the database, runs the command (or waits), removes everything; the command's exit status."""
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder, lock = leftovers.new_run(outside.reachable(paths.STATE / "run"), f"scratch-{secrets.token_hex(4)}")
    watchdog = Watchdog(folder.name)
    watchdog.remove(folder)
    server = Server(folder / "data", folder / "postgres.log", settings={"fsync": "off"})
    try:
        server.create()
        server.start(watchdog.run_id)
        server.bootstrap(AUTH_SCHEMA)
        for file in schema.design():
            try:
                server.psql(file)
            except PostgresFailed as error:
                print(f"REFUSED {file.relative_to(paths.REPO)}: {error}", file=sys.stderr)
        if not command:
            print(server.url(), flush=True)
            signal.pause()
        return subprocess.run(command, env={**os.environ, "SUPABASE_DB_URL": server.url()}, check=False).returncode
    except PostgresFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        server.stop()
        lock.close()
        watchdog.dismiss()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
