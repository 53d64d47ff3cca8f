"""Serves the stand-in: ``python -m tests.standins.storage`` in the repository's root, settings in the environment.

The settings have the real server's names: DATABASE_URL, SERVER_HOST, SERVER_PORT, AUTH_JWT_SECRET, JWT_JWKS,
STORAGE_FILE_BACKEND_PATH, UPLOAD_FILE_SIZE_LIMIT, SIGNED_UPLOAD_URL_EXPIRATION_TIME.
"""

from __future__ import annotations

import asyncio
import os
import signal

from aiohttp import web

from tests.standins.storage.app import Server
from tests.standins.storage.config import Config, load_config


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
    host = os.environ.get("SERVER_HOST", "127.0.0.1")
    asyncio.run(serve(load_config(), host, int(os.environ["SERVER_PORT"])))


if __name__ == "__main__":
    main()
