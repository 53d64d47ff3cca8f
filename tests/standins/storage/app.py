"""The server: routes as Storage has them, read from the path as it was sent, and one answer for every refusal."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import psycopg
from aiohttp import web

from tests.standins.storage.buckets import Buckets
from tests.standins.storage.callers import Callers
from tests.standins.storage.config import Config
from tests.standins.storage.database import Database
from tests.standins.storage.errors import Refused, invalid, not_built, of_database
from tests.standins.storage.files import Files
from tests.standins.storage.objects import Objects
from tests.standins.storage.uploads import Uploads

Handler = Callable[..., Awaitable[web.StreamResponse]]
Route = tuple[str, re.Pattern[str], Handler]


class Server:
    """The aiohttp application around one :class:`Config`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.database, self.files = Database(config.database_url), Files(config.folder)
        callers = Callers(config.jwks)
        self._buckets = Buckets(self.database, self.files, callers, config.max_bytes)
        self._objects = Objects(self.database, self.files, callers, config.secret)
        self._uploads = Uploads(self.database, self.files, callers, self._objects, config)
        self._routes = [
            (method, re.compile(path, re.DOTALL), handler)
            for methods, path, handler in self._table()
            for method in methods.split()
        ]

    def application(self) -> web.Application:
        """The server, ready to run."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_startup.append(self._sweep)
        app.on_cleanup.append(self._close)
        return app

    async def _sweep(self, _: web.Application) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(self.config.database_url) as connection:
                # the owner of the table sees every row
                rows = await (await connection.execute("select version from storage.objects")).fetchall()
        except psycopg.errors.UndefinedTable:
            sys.exit("storage: the database has no schema storage; --fresh makes one that has")
        self.files.sweep({version for (version,) in rows})

    async def _close(self, _: web.Application) -> None:
        await self.database.close()

    def _table(self) -> list[tuple[str, str, Handler]]:
        """Methods, path, handler; the first that fits serves."""
        bucket, one = "/(?P<bucket>[^/]+)", "/(?P<bucket>[^/]+)/(?P<name>.*)"
        way = "/(?P<way>public|authenticated)"
        return [
            ("GET", "/status", _status),
            ("GET", "/bucket/?", self._buckets.list),
            ("POST", "/bucket/?", self._buckets.create),
            ("POST", f"/bucket{bucket}/empty", self._buckets.empty),
            ("GET", f"/bucket{bucket}", self._buckets.get),
            ("PUT", f"/bucket{bucket}", self._buckets.update),
            ("DELETE", f"/bucket{bucket}", self._buckets.delete),
            ("GET HEAD", f"/object/info{way}{one}", self._objects.info),
            ("GET HEAD", f"/object/info{one}", self._objects.info),
            ("GET HEAD", f"/object{way}{one}", self._objects.download),
            ("GET HEAD", f"/object/sign{one}", self._objects.signed),
            ("GET HEAD", f"/object{one}", self._objects.download),
            ("POST", f"/object/list{bucket}", self._objects.list),
            ("POST", f"/object/list-v2{bucket}", self._objects.list_whole),
            ("POST", f"/object/upload/sign{one}", self._uploads.sign),
            ("PUT", f"/object/upload/sign{one}", self._uploads.upload_signed),
            ("POST", f"/object/sign{one}", self._objects.sign),
            ("POST", f"/object/sign{bucket}", self._objects.sign_many),
            ("POST", "/object/move", self._objects.move),
            ("POST", "/object/copy", self._uploads.copy),
            ("POST PUT", f"/object{one}", self._uploads.upload),
            ("DELETE", f"/object{one}", self._objects.delete),
            ("DELETE", f"/object{bucket}", self._objects.remove),
            ("POST HEAD PATCH DELETE OPTIONS", "/upload/resumable.*", _resumable),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request: its route, or what it is refused with."""
        try:
            return await self._answer(request)
        except Refused as refusal:
            return refusal.response()
        except psycopg.Error as error:
            return of_database(error).response()
        except TimeoutError:
            return Refused(408, "RequestTimeout", "RequestTimeout", "It took too long; try again.").response()
        except UnicodeError:
            return invalid("The request holds letters that no text can hold.").response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and method == request.method:
                try:
                    words = {name: unquote(word, errors="strict") for name, word in match.groupdict().items()}
                except UnicodeDecodeError:
                    raise invalid("The path is no UTF-8.") from None
                return await handler(request, **words)
        message = f"Route {request.method}:{request.raw_path} not found"
        raise Refused(404, "Not Found", "InvalidRequest", message, http=404)


async def _status(_: web.Request) -> web.Response:
    return web.Response()


async def _resumable(_: web.Request) -> web.Response:
    raise not_built("Resumable uploads")
