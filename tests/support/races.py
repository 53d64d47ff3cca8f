"""Two sessions at once, with rows that are really committed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.waiting import wait_until

Connection = psycopg.Connection[Any]


class Ring:
    """An owner's session that commits at once, further sessions, and a background for the one that must wait."""

    def __init__(self, db_url: str, owner: Connection, pool: ThreadPoolExecutor) -> None:
        self.db_url = db_url
        self.owner = owner
        self._pool = pool
        self._sessions: list[Connection] = []
        self.leftovers: list[tuple[str, uuid.UUID | int]] = []

    def session(self) -> Connection:
        """A further session, in a transaction of its own."""
        self._sessions.append(psycopg.connect(self.db_url))
        return self._sessions[-1]

    def clean_up(self, table: str, key: uuid.UUID | int) -> None:
        """Deletes ``table``'s row of this id at the end; what was named last goes first."""
        self.leftovers.append((table, key))

    def start(self, session: Connection, statement: str, parameters: Any = None) -> Future[Any]:
        """Runs a statement in the background and commits; its first row, or the error."""

        def run() -> Any:
            try:
                row = session.execute(statement.encode(), parameters).fetchone() or ()
                session.commit()
            except psycopg.Error:
                session.rollback()
                raise
            return row

        return self._pool.submit(run)

    def wait_until_blocked(self, session: Connection) -> None:
        """Returns when ``session`` waits for somebody's lock; fails after ten seconds."""
        blocked = "select 1 where pg_blocking_pids(%s) <> '{}'"
        wait_until(lambda: self.owner.execute(blocked, (session.info.backend_pid,)).fetchone())

    def close(self) -> None:
        """Ends the sessions and removes what was committed."""
        for session in self._sessions:
            session.close()
        for table, key in reversed(self.leftovers):
            column = "user_id" if table == "public.profiles" else "id"
            self.owner.execute(f"delete from {table} where {column} = %s".encode(), (key,))


@contextmanager
def ring(db_url: str) -> Iterator[Ring]:
    """Sessions for a race; everything committed and named to ``clean_up`` is gone afterwards."""
    with psycopg.connect(db_url, autocommit=True) as owner, ThreadPoolExecutor() as pool:
        made = Ring(db_url, owner, pool)
        try:
            yield made
        finally:
            made.close()
