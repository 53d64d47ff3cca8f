"""Buckets: rows in storage.buckets, seen and changed with the caller's own rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from aiohttp import web

from tests.standins.storage import values
from tests.standins.storage.callers import Callers
from tests.standins.storage.database import Database, Row, stamp
from tests.standins.storage.errors import Refused, denied, invalid, no_bucket, of_database
from tests.standins.storage.files import Files

COLUMNS = """id, name, coalesce(owner_id, owner::text, '') as owner, public, type::text as type, file_size_limit,
    allowed_mime_types, created_at, updated_at"""


def shown(row: Row) -> dict[str, Any]:
    """A bucket as clients read it."""
    return {**row, "created_at": stamp(row["created_at"]), "updated_at": stamp(row["updated_at"])}


@dataclass
class Buckets:
    """The routes below /bucket."""

    database: Database
    files: Files
    callers: Callers
    max_bytes: int

    async def list(self, request: web.Request) -> web.Response:
        """Those that the caller may see; ``search`` is part of a name."""
        caller, asked = self.callers.of(request), values.query(request, values.BucketQuery)
        statement = (
            f"select {COLUMNS} from storage.buckets where strpos(lower(name), lower(%(search)s)) > 0 or %(search)s = ''"
            f" order by {asked.sortColumn} {asked.sortOrder} limit %(limit)s offset %(offset)s"
        )
        async with self.database.acting(caller, "storage.bucket.list") as connection:
            rows = await connection.execute(statement.encode(), asked.model_dump())
            return web.json_response([shown(row) for row in await rows.fetchall()])

    async def get(self, request: web.Request, bucket: str) -> web.Response:
        """One that the caller may see."""
        statement = f"select {COLUMNS} from storage.buckets where id = %s"
        async with self.database.acting(self.callers.of(request), "storage.bucket.get") as connection:
            row = await (await connection.execute(statement.encode(), (bucket,))).fetchone()
        if row is None:
            raise no_bucket()
        return web.json_response({name: value for name, value in shown(row).items() if name != "type"})

    async def create(self, request: web.Request) -> web.Response:
        """A new one, owned by the caller."""
        caller, given = self.callers.of(request), await values.body(request, values.NewBucket)
        row = {
            "id": values.bucket_name(given.name if given.id is None else given.id),
            "name": values.bucket_name(given.name),
            "owner": values.owner(caller.sub),
            "owner_id": caller.sub,
            **given.columns(self.max_bytes),
        }
        marks = ", ".join(f"%({column})s" for column in row)
        statement = f"insert into storage.buckets ({', '.join(row)}) values ({marks})"
        try:
            async with self.database.acting(caller, "storage.bucket.create") as connection:
                await connection.execute(statement.encode(), row)
        except psycopg.Error as error:
            raise of_database(error, taken="BucketAlreadyExists") from error
        return web.json_response({"name": given.name})

    async def update(self, request: web.Request, bucket: str) -> web.Response:
        """Changes what is given of public, file_size_limit and allowed_mime_types."""
        caller, given = self.callers.of(request), await values.body(request, values.BucketSettings)
        changes = given.columns(self.max_bytes)
        if not changes:
            raise invalid("body must have required property 'public', 'file_size_limit' or 'allowed_mime_types'")
        columns = ", ".join(f"{column} = %({column})s" for column in changes)
        statement = f"update storage.buckets set {columns} where id = %(id)s"
        async with self.database.acting(caller, "storage.bucket.update") as connection:
            if not (await connection.execute(statement.encode(), {**changes, "id": bucket})).rowcount:
                raise no_bucket()
        return web.json_response({"message": "Successfully updated"})

    async def delete(self, request: web.Request, bucket: str) -> web.Response:
        """Removes an empty one."""
        try:
            async with self.database.acting(self.callers.of(request), "storage.bucket.delete") as connection:
                if not (await connection.execute("delete from storage.buckets where id = %s", (bucket,))).rowcount:
                    raise no_bucket()
        except psycopg.errors.ForeignKeyViolation:
            message = "The bucket you tried to delete is not empty"
            raise Refused(409, "ResourceNotEmpty", "ResourceNotEmpty", message) from None
        return web.json_response({"message": "Successfully deleted"})

    async def empty(self, request: web.Request, bucket: str) -> web.Response:
        """Removes everything in it, for the service alone."""
        caller = self.callers.of(request)
        if caller.role != "service_role":
            raise denied("Access denied: Invalid role", http=403)
        async with self.database.acting(caller, "storage.bucket.empty") as connection:
            known = await connection.execute("select 1 from storage.buckets where id = %s", (bucket,))
            if await known.fetchone() is None:
                raise no_bucket()
            statement = "delete from storage.objects where bucket_id = %s returning version"
            gone = await (await connection.execute(statement, (bucket,))).fetchall()
        self.files.remove(row["version"] for row in gone)
        return web.json_response({"message": "Empty bucket has been queued. Completion may take up to an hour."})
