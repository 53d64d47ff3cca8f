"""A folder in which a database stays between runs, such as the one of ``./scripts/dev``.

Whoever runs on it holds its lock. ``database/`` in it is complete or absent: it holds the server's data, Storage's
files and ``made-from.json``, which tells what the database was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TextIO

from scripts.native import auth, leftovers, outside, paths, postgres, schema
from scripts.native.processes import Watchdog
from scripts.native.programs import SetUpFailed, push_migrations
from scripts.native.template import build_template, stage

SEED = paths.REPO / "supabase" / "seed.sql"


@dataclass(frozen=True)
class MadeFrom:
    """What a database was made from, mostly as hashes.

    ``platform`` stands for what the stack itself writes first: roles, schemas, and Storage's tables.
    """

    postgres: int
    platform: str
    auth: str
    migrations: dict[str, str]
    seed: str

    @classmethod
    def now(cls) -> MadeFrom:
        """What a database made now would be made from."""
        migrations = {file.name: digest(file) for file in schema.migrations()}
        platform = f"{digest(postgres.BOOTSTRAP)} {digest(postgres.STORAGE_SCHEMA)}"
        return cls(postgres.MAJOR, platform, auth.tables_of(auth.real_auth()), migrations, digest(SEED))

    def obstacle(self, now: MadeFrom) -> str | None:
        """Why a database made from this cannot be continued, in a sentence; None when it can."""
        if self.postgres != now.postgres:
            return f"It belongs to PostgreSQL {self.postgres}, and this is PostgreSQL {now.postgres}."
        if self.platform != now.platform:
            return "The platform's roles and schemas have changed since it was made."
        if self.auth != now.auth:
            return f"Its accounts were made by another Auth ({self.auth}) than the one that answers now ({now.auth})."
        newest = max(self.migrations, default="")
        for name, made in self.migrations.items():
            if name not in now.migrations:
                return f"It has the migration {name}, which is not in supabase/migrations."
            if now.migrations[name] != made:
                return f"The migration {name} has changed since it was applied."
        for name in now.migrations:
            if name < newest and name not in self.migrations:
                return f"The migration {name} is older than its newest one, {newest}, and was never applied."
        return None


class Home:
    """The folder; a context manager that holds its lock.

    :raise SetUpFailed: on entering, when another process runs on it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def __enter__(self) -> Home:
        handle = leftovers.claim(self.folder)
        if handle is None:
            owner = (self.folder / leftovers.LOCK).read_text().strip() or "another process"
            raise SetUpFailed(
                f"the database in {self.folder} is in use by {owner}: end that first, "
                "or choose another folder with --home"
            )
        self._lock: TextIO = handle
        self.tell_owner(f"process {os.getpid()}")
        self._root = outside.reachable(self.folder)
        leftovers.end_server(self.data)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tell_owner("")
        self._lock.close()

    def tell_owner(self, text: str) -> None:
        """Writes into the lock file who has the folder, for the message that the next one gets."""
        self._lock.truncate(0)
        self._lock.write(text)
        self._lock.flush()

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self._root / "database" / "data"

    @property
    def files(self) -> Path:
        """Storage's folder."""
        return self._root / "database" / "storage"

    @property
    def _note(self) -> Path:
        return self._root / "database" / "made-from.json"

    @property
    def is_made(self) -> bool:
        """Whether there is a complete database."""
        return self._note.exists()

    def forget(self) -> None:
        """Deletes the database. Nobody uses it: we hold the lock, and no server runs on it."""
        shutil.rmtree(self._root / "database", ignore_errors=True)
        shutil.rmtree(self.folder / "data", ignore_errors=True)  # where earlier versions kept it

    def check(self) -> None:
        """Looks whether the database that is here can be continued; asks no server.

        :raise SetUpFailed: it cannot; the message says why, and what --fresh does
        """
        if self.is_made:
            try:
                obstacle = MadeFrom(**json.loads(self._note.read_text())).obstacle(MadeFrom.now())
            except (ValueError, TypeError):
                obstacle = "It was made by another version of this command."
        elif (self.folder / "data").exists():
            obstacle = "It was made by an earlier version of this command."
        else:
            return
        if obstacle:
            raise SetUpFailed(
                f"the database in {self.folder} cannot be continued. {obstacle} "
                "Start with --fresh to delete it and make a new one, or go back to the code it was made from"
            )

    def seed_is_stale(self) -> bool:
        """Whether seed.sql has changed since it was loaded."""
        return bool(json.loads(self._note.read_text())["seed"] != MadeFrom.now().seed)

    def make(self, tell: Callable[[str], None], watchdog: Watchdog, log: Path) -> None:
        """Makes the database aside, seed included, and puts it in place when it is complete.

        :raise PostgresFailed: a migration or the seed was refused
        """
        now = MadeFrom.now()
        template = build_template(tell, watchdog)
        staged = stage(self._root)
        staged.mkdir()
        staged.chmod(0o755)
        watchdog.remove(staged)
        server = postgres.Server(staged / "data", log)
        try:
            postgres.copy_data(template, server.data)
            server.start(watchdog.run_id)
            server.psql(SEED)
            tell("seed.sql is loaded")
            server.stop()
            paths.write_whole(staged / "made-from.json", json.dumps(asdict(now), indent=1))
            staged.rename(self._root / "database")
        except BaseException:
            server.stop()
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def bring_up_to_date(self, server: postgres.Server, tell: Callable[[str], None], log: Path) -> None:
        """Applies what is new since the database was made: Auth's own migrations, and ours.

        :raise PostgresFailed: a migration was refused
        """
        if auth.real_auth():
            auth.migrate_real_auth(server)
            tell("Auth's migrations are applied")
        known, now = MadeFrom(**json.loads(self._note.read_text())), MadeFrom.now()
        new = [name for name in now.migrations if name not in known.migrations]
        if new:
            push_migrations(server, log)
            made = replace(known, migrations=now.migrations)
            paths.write_whole(self._note, json.dumps(asdict(made), indent=1))
            tell(f"new migrations are applied: {', '.join(new)}")


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
