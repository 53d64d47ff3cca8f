"""Serves the stand-in: ``python -m tests.standins.storage`` in the repository's root, settings in the environment.

The settings have the real server's names: DATABASE_URL, SERVER_HOST, SERVER_PORT, AUTH_JWT_SECRET, JWT_JWKS,
STORAGE_FILE_BACKEND_PATH, UPLOAD_FILE_SIZE_LIMIT, SIGNED_UPLOAD_URL_EXPIRATION_TIME.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from aiohttp import web

from tests.standins.storage.app import Config, Server

DEFAULT_LIMIT_BYTES = 50 * 1024 * 1024
DEFAULT_UPLOAD_URL_SECONDS = 7200


async def serve(config: Config, host: str, port: int) -> None:
    """Listens until SIGTERM or SIGINT."""
    application = Server(config).application()
    # bodies are stored as they come: unpacking them would store something else, and more than was declared
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=256).start()
    print(f"storage: stand-in on http://{host}:{port}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Reads the settings; a missing one stops with its name."""
    given = os.environ
    config = Config(
        database_url=given["DATABASE_URL"],
        folder=Path(given["STORAGE_FILE_BACKEND_PATH"]),
        jwks=given["JWT_JWKS"],
        secret=given["AUTH_JWT_SECRET"],
        most_bytes=int(given.get("UPLOAD_FILE_SIZE_LIMIT", DEFAULT_LIMIT_BYTES)),
        upload_url_seconds=int(given.get("SIGNED_UPLOAD_URL_EXPIRATION_TIME", DEFAULT_UPLOAD_URL_SECONDS)),
    )
    asyncio.run(serve(config, given.get("SERVER_HOST", "127.0.0.1"), int(given["SERVER_PORT"])))


if __name__ == "__main__":
    main()
