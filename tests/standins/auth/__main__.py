"""Serves the stand-in: ``python -m tests.standins.auth`` in the repository's root, settings in the environment."""

from __future__ import annotations

import os
import sys

from tests.standins.auth.config import BadSetting, config

# One worker process with threads is enough: bcrypt and the database leave the interpreter free. Idle connections are
# kept longer than a gateway keeps them, so that none closes while a request is on its way.
SERVER = ["--workers=1", "--worker-class=gthread", "--threads=16", "--keep-alive=75", "--graceful-timeout=5"]
SERVER += ["--no-control-socket", "--log-level=warning", "--name=auth"]


def main() -> None:
    """Becomes the server process; ends with a message when a setting is missing or malformed."""
    try:
        where = f"{config().host}:{config().port}"
    except BadSetting as error:
        sys.exit(f"auth: {error}")
    print(f"auth: stand-in on http://{where}", flush=True)
    command = [sys.executable, "-m", "gunicorn", *SERVER, f"--bind={where}", "tests.standins.auth.app:create_app()"]
    os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    main()
