"""The finished database that each start copies, and the folder in which a database stays between runs.

Both are made aside and renamed when they are complete, so a killed process never leaves half a database.
"""

from __future__ import annotations

import hashlib
import platform
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from scripts.native import leftovers, outside, paths, postgres, schema
from scripts.native.auth import AUTH_SCHEMA, migrate_real_auth, real_auth
from scripts.native.indexes import read_every_index
from scripts.native.processes import Watchdog
from scripts.native.programs import push_migrations

CACHE_KEPT = 4
STAGED = "staged-"


def template_key(auth: Path | None) -> str:
    """The hash of everything a template is made from."""
    made_from = hashlib.sha256()
    for text in (
        str(postgres.MAJOR),
        platform.platform(),
        postgres.BOOTSTRAP.read_text(),
        postgres.STORAGE_SCHEMA.read_text(),
        f"{auth}:{auth.stat().st_mtime_ns}" if auth else AUTH_SCHEMA.read_text(),
        *(f"{file.name}\n{file.read_text()}" for file in schema.migrations()),
    ):
        made_from.update(text.encode() + b"\0")
    return made_from.hexdigest()[:16]


def stage(folder: Path) -> Path:
    """A new name in ``folder`` for something unfinished, after what killed processes left there is gone.

    The caller holds a lock over the folder.
    """
    for old in folder.glob(f"{STAGED}*"):
        for data in (old, old / "data"):
            leftovers.end_server(data)
        shutil.rmtree(old, ignore_errors=True)
    return folder / f"{STAGED}{secrets.token_hex(4)}"


def build_template(tell: Callable[[str], None], watchdog: Watchdog) -> Path:
    """The data folder with the finished schema, made now unless an earlier start left the same.

    :raise PostgresFailed: a script or a migration was refused
    """
    auth = real_auth()
    cache = outside.reachable(paths.STATE / "cache")
    wanted = cache / template_key(auth)
    with paths.locked(cache / "lock"):
        staged = stage(cache)
        if wanted.exists():
            tell("the database comes from the cache")
            wanted.touch()
            return wanted
        tell("making the database: initdb, roles, auth schema")
        watchdog.remove(staged)
        server = postgres.Server(staged, cache / "template.log", settings={"fsync": "off"})
        try:
            server.create()
            server.start(watchdog.run_id)
            server.bootstrap(None if auth else AUTH_SCHEMA)
            if auth:
                migrate_real_auth(server)
            tell(f"supabase db push: {len(schema.migrations())} migrations")
            push_migrations(server, cache / "migrations.log")
            tell(f"every index is read once: {read_every_index(server.url('supabase_admin'))}")
        except BaseException:
            server.stop()
            shutil.rmtree(staged, ignore_errors=True)
            raise
        server.stop()
        staged.rename(wanted)
        old = sorted((f for f in cache.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)[:-CACHE_KEPT]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return wanted
