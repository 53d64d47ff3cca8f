"""Objects that come: raw bodies, forms, upload URLs, copies.

A write is first tried as the caller and rolled back, then the bytes are stored, then Storage itself writes the row:
nobody sends bytes that would be refused, and no policy stops a write between its file and its row.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiohttp
import psycopg
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from psycopg.types.json import Jsonb

from tests.standins.storage import values
from tests.standins.storage.callers import Caller, Callers, opened, sign
from tests.standins.storage.config import Config
from tests.standins.storage.database import Connection, Database, Row, stamp
from tests.standins.storage.errors import Refused, invalid, no_object, too_large, wrong_type
from tests.standins.storage.files import CHUNK_BYTES, Files
from tests.standins.storage.objects import COLUMNS, Objects, found, shown

MAX_FIELD_BYTES = 64 * 1024
# how aiohttp says that a body broke off, or that a form has no boundary where one must be
BROKEN = (aiohttp.ClientError, HttpProcessingError, ConnectionError, ValueError, AssertionError)
PLACEHOLDER = ".emptyFolderPlaceholder"
INSERT = """
    insert into storage.objects (bucket_id, name, owner, owner_id, version, metadata, user_metadata)
    values (%(bucket)s, %(name)s, %(owner)s, %(owner_id)s, %(version)s, %(metadata)s, %(user_metadata)s)
"""
UPSERT = f"""{INSERT}
    on conflict (bucket_id, name) do update set owner = excluded.owner, owner_id = excluded.owner_id,
        version = excluded.version, metadata = excluded.metadata, user_metadata = excluded.user_metadata
"""


@dataclass
class Sent:
    """What an upload says of itself; ``declared`` is the length of the request, None when it comes in chunks."""

    mimetype: str
    cache_control: str
    declared: int | None
    is_form: bool
    chunks: AsyncIterator[bytes]
    user_metadata: Any = field(default_factory=dict)


async def received(request: web.Request) -> Sent:
    """Reads an upload up to its first byte.

    :raise Refused: no file in a form, or a content type that is none
    """
    declared = request.content_length
    if not request.content_type.startswith("multipart/"):
        kind = values.content_type(request.headers.get("Content-Type") or "application/octet-stream")
        about = metadata(request.headers.get("x-metadata", ""), is_encoded=True)
        cache = request.headers.get("Cache-Control", "no-cache")
        return Sent(kind, cache, declared, False, pieces(request.content.readany), about)
    fields: dict[str, str] = {}
    async for part in parts(request):
        if part.filename is None:
            fields[part.name or ""] = await _field(part)
            continue
        sent = fields.get("contentType") or part.headers.get("Content-Type") or "application/octet-stream"
        kind = values.content_type(sent.partition(";")[0].strip())
        cache = f"max-age={fields['cacheControl']}" if "cacheControl" in fields else "no-cache"
        if not cache.isprintable():  # it will be a header
            raise invalid("cacheControl must be seconds")
        about = metadata(fields.get("metadata", ""))
        return Sent(kind, cache, declared, True, pieces(partial(part.read_chunk, CHUNK_BYTES)), about)
    raise Refused(400, "InvalidRequest", "InvalidRequest", "No content provided")


async def parts(request: web.Request) -> AsyncIterator[aiohttp.BodyPartReader]:
    """The parts of a form, as they come.

    :raise Refused: it is no form
    """
    try:
        reader = await request.multipart()
        while isinstance(part := await reader.next(), aiohttp.BodyPartReader):
            yield part
    except BROKEN:
        raise invalid("The body breaks off or is no form.") from None


async def _field(part: aiohttp.BodyPartReader) -> str:
    whole = bytearray()
    async for piece in pieces(partial(part.read_chunk, MAX_FIELD_BYTES)):
        whole += piece
        if len(whole) > MAX_FIELD_BYTES:
            raise too_large()
    return whole.decode("utf-8", "replace")


async def pieces(read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    """A body piece by piece; whoever sends nothing for a minute is given up.

    :raise TimeoutError: nothing came
    :raise Refused: the body breaks off, or is no form
    """
    while True:
        try:
            async with asyncio.timeout(values.READ_SECONDS):
                piece = await read()
        except BROKEN:
            raise invalid("The body breaks off or is no form.") from None
        if not piece:
            return
        yield piece


def metadata(sent: str, *, is_encoded: bool = False) -> Any:
    """Custom metadata: JSON, in a header as base64 of it; what is none is dropped."""
    try:
        return json.loads(base64.b64decode(sent) if is_encoded else sent) or {}
    except (ValueError, RecursionError):
        return {}


def is_upsert(request: web.Request) -> bool:
    """Whether the caller wants to replace what is there."""
    return request.headers.get("x-upsert") == "true"


@dataclass
class Uploads:
    """The routes below /object that make objects."""

    database: Database
    files: Files
    callers: Callers
    objects: Objects
    config: Config

    async def upload(self, request: web.Request, bucket: str, name: str) -> web.Response:
        """A new object; with POST one that is there is replaced only if the caller says so."""
        caller = self.callers.of(request)
        put = request.method == "PUT"
        operation = "storage.object.upload_update" if put else "storage.object.upload"
        replace = put or is_upsert(request)
        sent, limit = await self._accepted(request, bucket, name)
        about = {"mimetype": sent.mimetype, "contentLength": sent.declared}
        row = _row(bucket, name, caller.sub, "1", about, sent.user_metadata)
        await self._try(caller, operation, row, replace)
        stored = await self._store(request, operation, row, sent, limit, replace)
        return web.json_response({"Key": f"{bucket}/{name}", "Id": str(stored["id"])})

    async def sign(self, request: web.Request, bucket: str, name: str) -> web.Response:
        """A URL that anybody may upload this one object by, in the caller's name."""
        caller = self.callers.of(request)
        row = _row(bucket, name, caller.sub, "1", {}, {})
        await self._try(caller, "storage.object.sign_upload_url", row, is_upsert(request))
        url = f"{bucket}/{name}"
        claims = {"url": url, "scope": "upload", "upsert": is_upsert(request), "owner": caller.sub}
        token = sign(self.config.secret, self.config.upload_url_seconds, **claims)
        return web.json_response({"url": f"/object/upload/sign/{url}?token={token}", "token": token})

    async def upload_signed(self, request: web.Request, bucket: str, name: str) -> web.Response:
        """An upload by such a URL: its token counts, not the caller."""
        claims = opened(self.config.secret, request, "upload", f"{bucket}/{name}")
        sent, limit = await self._accepted(request, bucket, name)
        row, replace = _row(bucket, name, claims.get("owner"), "1", {}, sent.user_metadata), claims["upsert"] is True
        await self._try(self.callers.service(request), "storage.object.upload_signed", row, replace)
        await self._store(request, "storage.object.upload_signed", row, sent, limit, replace)
        return web.json_response({"Key": f"{bucket}/{name}"})

    async def copy(self, request: web.Request) -> web.Response:
        """The same bytes under another name, owned by the copier."""
        caller, operation = self.callers.of(request), "storage.object.copy"
        given = await values.body(request, values.Transfer)
        target, name = given.destinationBucket or given.bucketId, values.key(given.destinationKey)
        async with self.database.acting(caller, operation) as connection:
            original = await found(connection, given.bucketId, given.sourceKey)
        row = _row(target, name, caller.sub, "1", original["metadata"], original["user_metadata"])
        await self._try(caller, operation, row, is_upsert(request))
        try:
            row["version"] = self.files.copy(original["version"])
        except FileNotFoundError:
            raise no_object() from None
        written = await self._write(request, operation, row, is_upsert(request))
        return web.json_response({"Key": f"{target}/{name}", "Id": str(written["id"]), **shown(written)})

    async def _accepted(self, request: web.Request, bucket: str, name: str) -> tuple[Sent, int]:
        """The upload as far as it may be known before its bytes, and how many of those are taken.

        :raise Refused: bucket, type, declared size or name
        """
        settings = await self.objects.bucket(request, bucket)
        sent = await received(request)
        limit = self.config.max_bytes if settings["file_size_limit"] is None else settings["file_size_limit"]
        limit, allowed = min(limit, self.config.max_bytes), settings["allowed_mime_types"]
        if name.rpartition("/")[2] == PLACEHOLDER:
            limit, allowed = 0, None
        if allowed is not None and not any(_matches(sent.mimetype, entry) for entry in allowed):
            raise wrong_type(f"mime type {sent.mimetype} is not supported")
        # a form's length counts its fields too, so that only the server's own limit is known to be passed
        most = self.config.max_bytes + MAX_FIELD_BYTES if sent.is_form else limit
        if sent.declared is not None and sent.declared > most:
            raise too_large()
        values.key(name)
        return sent, limit

    async def _try(self, caller: Caller, operation: str, row: Row, replace: bool) -> None:
        """Writes the row in the caller's name and takes it back.

        :raise psycopg.Error: the caller may not, or the name is taken
        """
        async with self.database.acting(caller, operation, trial=True) as connection:
            await connection.execute((UPSERT if replace else INSERT).encode(), row)

    async def _store(
        self, request: web.Request, operation: str, row: Row, sent: Sent, limit: int, replace: bool
    ) -> Row:
        stored = await self.files.write(sent.chunks, limit)
        row["version"] = stored.version
        row["metadata"] = Jsonb(
            {
                "eTag": stored.tag,
                "size": stored.size,
                "mimetype": sent.mimetype,
                "cacheControl": sent.cache_control,
                "lastModified": stamp(datetime.now(UTC)),
                "contentLength": stored.size,
                "httpStatusCode": 200,
            }
        )
        return await self._write(request, operation, row, replace)

    async def _write(self, request: web.Request, operation: str, row: Row, replace: bool) -> Row:
        """The row, by Storage itself; then the file of the version before is removed."""
        service = self.callers.service(request)
        try:
            async with self.database.acting(service, operation) as connection:
                before = await _version(connection, row)
                statement = f"{UPSERT if replace else INSERT} returning {COLUMNS}"
                written = await (await connection.execute(statement.encode(), row)).fetchone()
        except psycopg.OperationalError:
            raise  # whether the row was written is not known: the file stays, and a sweep removes it if not
        except psycopg.Error:
            self.files.remove([row["version"]])
            raise
        self.files.remove(before)
        assert written is not None
        return written


async def _version(connection: Connection, row: Row) -> list[str]:
    statement = "select version from storage.objects where bucket_id = %(bucket)s and name = %(name)s for update"
    return [old["version"] for old in await (await connection.execute(statement, row)).fetchall()]


def _row(bucket: str, name: str, sub: str | None, version: str, about: Any, user_metadata: Any) -> Row:
    return {
        "bucket": bucket,
        "name": name,
        "owner": values.owner(sub),
        "owner_id": sub,
        "version": version,
        "metadata": Jsonb(about),
        "user_metadata": Jsonb(user_metadata),
    }


def _matches(kind: str, allowed: str) -> bool:
    """Whether a bucket's entry covers a type; ``image/*`` does, ``*/*`` covers nothing."""
    family, _, rest = allowed.partition("/")
    return kind == allowed or (rest == "*" and family != "*" and kind.startswith(f"{family}/"))
