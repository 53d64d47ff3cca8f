"""Objects that are there: reading, signing, listing, moving, copying, removing, with the caller's own rights."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate, parsedate_to_datetime
from typing import Any, BinaryIO
from urllib.parse import quote

import psycopg
from aiohttp import web

from tests.standins.storage import values
from tests.standins.storage.callers import Caller, Callers, opened, sign
from tests.standins.storage.database import Connection, Database, Row, stamp
from tests.standins.storage.errors import (
    Refused,
    denied,
    invalid,
    no_bucket,
    no_object,
    not_built,
    of_database,
)
from tests.standins.storage.files import CHUNK_BYTES, Files

SEND_SECONDS = 60
COLUMNS = """id, bucket_id, name, coalesce(owner::text, '') as owner, owner_id, version, metadata, user_metadata,
    created_at, updated_at, last_accessed_at"""
ONE = f"select {COLUMNS} from storage.objects where bucket_id = %s and name = %s"
INVISIBLE = "Either the object does not exist or you do not have access to it"
LISTED = ("name", "id", "updated_at", "created_at", "last_accessed_at", "metadata")


def shown(row: Row, *columns: str) -> dict[str, Any]:
    """A row as JSON, all columns by default."""
    found = {name: row[name] for name in columns or row}
    return {
        name: stamp(value) if isinstance(value, datetime) else str(value) if name == "id" and value else value
        for name, value in found.items()
    }


@dataclass
class Objects:
    """The routes below /object that send no bytes to us."""

    database: Database
    files: Files
    callers: Callers
    secret: str

    async def bucket(self, request: web.Request, bucket: str) -> Row:
        """A bucket's settings, whoever asks.

        :raise Refused: there is none
        """
        statement = "select public, file_size_limit, allowed_mime_types from storage.buckets where id = %s"
        async with self.database.acting(self.callers.service(request), "storage.bucket.get") as connection:
            row = await (await connection.execute(statement, (values.bucket_name(bucket),))).fetchone()
        if row is None:
            raise no_bucket()
        return row

    async def _find(self, caller: Caller, operation: str, bucket: str, name: str) -> Row:
        async with self.database.acting(caller, operation) as connection:
            return await found(connection, bucket, name)

    # ---- reading ----------------------------------------------------------------------------------------------

    async def _reader(self, request: web.Request, bucket: str, way: str) -> Caller:
        """In whose name the object is read: the caller's, or Storage's own in a public bucket.

        :param way: ``public``, ``authenticated``, or empty for the route that serves both
        """
        caller: Caller | None = None
        if way != "public":
            try:
                caller = self.callers.of(request)
            except Refused:
                if way == "authenticated":
                    raise
        if (await self.bucket(request, bucket))["public"]:
            return self.callers.service(request)
        if caller is None:
            raise no_bucket()
        return caller

    async def download(self, request: web.Request, bucket: str, name: str, way: str = "") -> web.StreamResponse:
        """The bytes, or for HEAD their headers."""
        caller = await self._reader(request, bucket, way)
        head = request.method == "HEAD"
        operation = "object.head_authenticated_info" if head else "storage.object.get_authenticated"
        row = await self._find(caller, operation, bucket, values.key(name))
        return await self._serve(
            request, row, {"Cache-Control": (row["metadata"] or {}).get("cacheControl", "no-cache")}
        )

    async def info(self, request: web.Request, bucket: str, name: str, way: str = "") -> web.Response:
        """What is known of an object."""
        caller = await self._reader(request, bucket, way)
        row = await self._find(caller, "object.get_authenticated_info", bucket, values.key(name))
        about = row["metadata"] or {}
        body = {
            "id": str(row["id"]),
            "name": row["name"],
            "version": row["version"],
            "bucket_id": row["bucket_id"],
            "size": about.get("size"),
            "content_type": about.get("mimetype"),
            "cache_control": about.get("cacheControl"),
            "etag": about.get("eTag"),
            "metadata": row["user_metadata"],
            "last_modified": stamp(row["updated_at"]),
            "created_at": stamp(row["created_at"]),
        }
        headers = {
            "Cache-Control": about.get("cacheControl", "no-cache"),
            "ETag": about.get("eTag", ""),
            "Last-Modified": format_datetime(row["updated_at"].astimezone(UTC), usegmt=True),
        }
        return web.json_response(body, headers=headers)

    async def signed(self, request: web.Request, bucket: str, name: str) -> web.StreamResponse:
        """The bytes behind a signed URL: its token counts, not the caller."""
        claims = opened(self.secret, request, "download", f"{bucket}/{name}")
        row = await self._find(self.callers.service(request), "storage.object.get_signed", bucket, name)
        return await self._serve(request, row, {"Expires": formatdate(claims["exp"], usegmt=True)})

    async def _serve(self, request: web.Request, row: Row, headers: dict[str, str]) -> web.StreamResponse:
        about = row["metadata"] or {}
        modified = row["updated_at"].replace(microsecond=0)
        headers |= {
            "ETag": about.get("eTag", ""),
            "Last-Modified": format_datetime(modified.astimezone(UTC), usegmt=True),
            "Accept-Ranges": "bytes",
            "X-Robots-Tag": "none",
        }
        is_get = request.method == "GET"
        if is_get and unchanged(request, headers, modified):
            return web.Response(status=304, headers=headers)
        try:
            file = self.files.open(row["version"])
        except FileNotFoundError:
            raise no_object() from None
        with file:
            size = file.seek(0, 2)
            status, first, last = wanted_range(request.headers.get("Range") if is_get else None, size)
            if status == 206:
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            kind = about.get("mimetype", "application/octet-stream")
            # a page that somebody stored must not run as one of this origin
            headers["Content-Type"] = "text/plain" if "text/html" in kind else kind
            headers["Content-Length"] = str(last - first + 1)
            if "download" in request.query:
                name = quote(request.query["download"], safe="!'()*~")
                named = f" filename={name}; filename*=UTF-8''{name}" if name else ""
                headers["Content-Disposition"] = f"attachment;{named}"
            response = web.StreamResponse(status=status, headers=headers)
            await response.prepare(request)
            file.seek(first)
            await self._send(request, response, file, last - first + 1 if is_get else 0)
            return response

    @staticmethod
    async def _send(request: web.Request, response: web.StreamResponse, file: BinaryIO, left: int) -> None:
        """Sends the next ``left`` bytes; a reader that takes none for a minute is cut off."""
        try:
            while left > 0 and (piece := file.read(min(left, CHUNK_BYTES))):
                async with asyncio.timeout(SEND_SECONDS):
                    await response.write(piece)
                left -= len(piece)
            await response.write_eof()
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()

    # ---- signing ----------------------------------------------------------------------------------------------

    async def sign(self, request: web.Request, bucket: str, name: str) -> web.Response:
        """A URL that anybody may read the object by, for a time."""
        caller, given = self.callers.of(request), await values.body(request, values.Signing)
        await self._find(caller, "storage.object.sign", bucket, name)
        return web.json_response({"signedURL": self._signed_url(bucket, name, given.expiresIn)})

    async def sign_many(self, request: web.Request, bucket: str) -> web.Response:
        """The same for several; what the caller may not see gets an error text."""
        caller, given = self.callers.of(request), await values.body(request, values.SigningMany)
        statement = "select name from storage.objects where bucket_id = %s and name = any(%s)"
        async with self.database.acting(caller, "storage.object.sign_many") as connection:
            rows = await (await connection.execute(statement, (bucket, given.paths))).fetchall()
        seen = {row["name"] for row in rows}
        answer = [
            {
                "error": None if path in seen else INVISIBLE,
                "path": path,
                "signedURL": self._signed_url(bucket, path, given.expiresIn) if path in seen else None,
            }
            for path in given.paths
        ]
        return web.json_response(answer)

    def _signed_url(self, bucket: str, name: str, seconds: int) -> str:
        token = sign(self.secret, seconds, url=f"{bucket}/{name}", scope="download")
        return f"/object/sign/{bucket}/{name}?token={token}"

    # ---- listing ----------------------------------------------------------------------------------------------

    async def list(self, request: web.Request, bucket: str) -> web.Response:
        """A folder's files and folders."""
        caller, asked = self.callers.of(request), await values.body(request, values.Listing)
        folder = asked.prefix if asked.prefix.endswith("/") or not asked.prefix else asked.prefix + "/"
        statement = """select * from storage.search(prefix => %s, bucketname => %s, limits => %s, offsets => %s,
            search => %s, sortcolumn => %s, sortorder => %s)"""
        arguments = (folder, bucket, asked.limit, asked.offset, asked.search, asked.sortBy.column, asked.sortBy.order)
        async with self.database.acting(caller, "storage.object.list") as connection:
            rows = await (await connection.execute(statement, arguments)).fetchall()
        return web.json_response([shown(row, *LISTED) for row in rows])

    async def list_whole(self, request: web.Request, bucket: str) -> web.Response:
        """The second list, as far as it is built: full names in the order of code points, all on one page."""
        caller, asked = self.callers.of(request), await values.body(request, values.Page)
        if asked.sortBy.column == "last_accessed_at":
            raise invalid("body/sortBy/column must be equal to one of the allowed values")
        statement = """select * from storage.objects where bucket_id = %s and name collate "C" ^@ %s
            order by name collate "C" limit %s"""
        async with self.database.acting(caller, "storage.object.list_v2") as connection:
            rows = await (await connection.execute(statement, (bucket, asked.prefix, asked.limit + 1))).fetchall()
        if asked.with_delimiter or asked.sortBy != values.Sort() or asked.cursor or len(rows) > asked.limit:
            raise not_built("Folders, other orders and further pages of list-v2")
        objects = [shown(row, *LISTED) for row in rows]
        return web.json_response({"hasNext": False, "folders": [], "objects": objects})

    # ---- changing ---------------------------------------------------------------------------------------------

    async def move(self, request: web.Request) -> web.Response:
        """Another name, another bucket, or both; the bytes stay where they are."""
        caller, given = self.callers.of(request), await values.body(request, values.Transfer)
        source = given.bucketId, given.sourceKey
        target = given.destinationBucket or given.bucketId, values.key(given.destinationKey)
        statement = "update storage.objects set bucket_id = %s, name = %s where bucket_id = %s and name = %s"
        try:
            async with self.database.acting(caller, "storage.object.move") as connection:
                await found(connection, *source)
                if not (await connection.execute(statement, (*target, *source))).rowcount:
                    raise no_object()
        except psycopg.errors.UniqueViolation as error:
            raise of_database(error, taken="ResourceAlreadyExists") from None
        return web.json_response({"message": "Successfully moved"})

    async def remove(self, request: web.Request, bucket: str) -> web.Response:
        """Removes those of the named objects that the caller may see and delete."""
        caller, given = self.callers.of(request), await values.body(request, values.Removal)
        statement = f"delete from storage.objects where bucket_id = %s and name = any(%s) returning {COLUMNS}"
        async with self.database.acting(caller, "storage.object.delete_many") as connection:
            gone = await (await connection.execute(statement.encode(), (bucket, given.prefixes))).fetchall()
        self.files.remove(row["version"] for row in gone)
        return web.json_response([shown(row) for row in gone])

    async def delete(self, request: web.Request, bucket: str, name: str) -> web.Response:
        """Removes one object."""
        caller = self.callers.of(request)
        statement = "delete from storage.objects where bucket_id = %s and name = %s returning version"
        async with self.database.acting(caller, "storage.object.delete") as connection:
            gone = await (await connection.execute(statement, (bucket, name))).fetchone()
        if gone is None:
            await self._find(self.callers.service(request), "storage.object.delete", bucket, name)
            raise denied("Access denied")
        self.files.remove([gone["version"]])
        return web.json_response({"message": "Successfully deleted"})


async def found(connection: Connection, bucket: str, name: str) -> Row:
    """The row of an object, as the transaction's caller sees it.

    :raise Refused: there is none to be seen
    """
    row = await (await connection.execute(ONE, (bucket, name))).fetchone()
    if row is None:
        raise no_object()
    return row


def unchanged(request: web.Request, headers: dict[str, str], modified: datetime) -> bool:
    """Whether the caller has these bytes already; a caller with others may show them a while longer."""
    tag = request.headers.get("If-None-Match")
    if tag is not None:
        if tag == headers["ETag"]:
            return True
        if "Cache-Control" in headers:
            headers["Cache-Control"] += ", stale-while-revalidate=30"
        return False
    try:
        return modified <= parsedate_to_datetime(request.headers.get("If-Modified-Since", ""))
    except (ValueError, TypeError):
        return False


def wanted_range(sent: str | None, size: int) -> tuple[int, int, int]:
    """Status, first and last byte for a Range header: one range, cut at the end.

    :raise Refused: it is none, several, reversed, or behind the end
    """
    if sent is None:
        return 200, 0, size - 1
    parts = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", sent)
    if parts is not None and parts[1]:
        first, last = int(parts[1]), min(int(parts[2] or size), size - 1)
    elif parts is not None and parts[2]:
        first, last = max(size - int(parts[2]), 0), size - 1
    else:
        first, last = 1, 0
    if first > last:
        raise Refused(416, "invalid_range", "InvalidRange", "invalid range provided", http=416)
    return 206, first, last
