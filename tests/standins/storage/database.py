"""Transactions in the name of whoever asks, so that Postgres decides what is seen and changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.standins.storage.callers import Caller

Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Row]

MAX_CONNECTIONS = 10
MAX_WAIT_SECONDS = 10
CONNECT_SECONDS = 5

# the settings that the recorded server makes for each transaction
BECOME = """
    select set_config('role', %(role)s, true),
        set_config('request.jwt.claim.role', %(role)s, true),
        set_config('request.jwt.claim.sub', %(sub)s, true),
        set_config('request.jwt.claims', %(claims)s, true),
        set_config('request.method', %(method)s, true),
        set_config('request.path', %(path)s, true),
        set_config('request.headers', %(headers)s, true),
        set_config('storage.operation', %(operation)s, true),
        set_config('storage.allow_delete_query', 'true', true),
        set_config('statement_timeout', '30s', true)
"""


def stamp(moment: datetime) -> str:
    """A time as clients read it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Database:
    """A few connections as supabase_storage_admin, which may become any API role."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def acting(self, caller: Caller, operation: str, *, trial: bool = False) -> AsyncIterator[Connection]:
        """A transaction as the caller; a trial is rolled back at the end.

        :raise psycopg.Error: what Postgres refuses
        """
        async with self._connection() as connection, connection.transaction(force_rollback=trial):
            given = {name: getattr(caller, name) for name in ("role", "claims", "method", "path", "headers")}
            await connection.execute(BECOME, {**given, "sub": caller.sub or "", "operation": operation})
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise psycopg.OperationalError("every connection is in use") from None
        connection: Connection | None = None
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            yield connection
        finally:
            if connection is not None:
                if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    await connection.close()
                else:
                    self._idle.append(connection)
            self._free.release()

    async def _connect(self) -> Connection:
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, row_factory=dict_row, connect_timeout=CONNECT_SECONDS
        )

    async def close(self) -> None:
        """Ends the idle connections."""
        for connection in self._idle:
            await connection.close()
