"""The one origin in front of the stack's parts. It does what the platform's gateway does and no more.

    python -m scripts.native.gateway CONFIG.json

It routes by prefix, swaps API keys for role tokens, answers pre-flight requests, and streams bodies both ways. A
request gets one log line, without the query string, because codes and tokens travel in some.

The platform's rules for API keys hold here:

- A key stands in the ``apikey`` header or query parameter. As a Bearer it must be equal to ``apikey``.
- A person's token in ``Authorization`` always wins over the key's role.
- Secret keys are refused for browsers.
- ``/functions/v1`` needs no key, because the functions verify their callers themselves.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
# Paths a browser opens without a key: links in mails, sign-in redirects, public keys, signed URLs of files
OPEN_PATHS = (
    "/auth/v1/verify",
    "/auth/v1/callback",
    "/auth/v1/authorize",
    "/auth/v1/.well-known/",
    "/auth/v1/sso",
    "/storage/v1/",
)
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
EXPOSED_HEADERS = (
    "Content-Range, Range, Content-Location, Location, Link, X-Total-Count, X-Request-Id, X-Sb-Error-Code, Retry-After"
)
SMALL_BODY_BYTES = 64 * 1024
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
NOT_BUILT = {
    "/realtime/v1": "Realtime is not part of the native stack",
    "/graphql/v1": "GraphQL is not part of the native stack",
}


@dataclass(frozen=True)
class Config:
    """Where the parts listen and which keys callers show."""

    port: int
    rest: str
    auth: str
    functions: str
    storage: str
    mail: str
    publishable_key: str
    secret_key: str
    anon_token: str
    service_token: str

    def role_token(self, key: str) -> str | None:
        """The role token behind an API key (new form or legacy token), or None for a key that is not ours."""
        for known, token in (
            (self.publishable_key, self.anon_token),
            (self.anon_token, self.anon_token),
            (self.secret_key, self.service_token),
            (self.service_token, self.service_token),
        ):
            if hmac.compare_digest(known.encode(), key.encode()):
                return token
        return None


# parameters of a REST request that choose, sort or cut, but leave no row out
NO_FILTERS = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict", "apikey"})


class Refused(Exception):
    """The gateway answers itself, in the one error shape."""

    def __init__(self, status: int, code: str, message: str, hint: str | None = None, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.hint, self.retry_after = status, code, message, hint, retry_after

    def response(self, request_id: str) -> web.Response:
        """The JSON answer."""
        body = {
            "code": self.code,
            "message": self.message,
            "details": None,
            "hint": self.hint,
            "request_id": request_id,
        }
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return web.json_response(body, status=self.status, headers=headers)


def authorization(config: Config, request: web.Request) -> str | None:
    """The Authorization header to pass on to REST, Auth or Storage.

    :raise Refused: 401 for a missing, unknown or misused key
    """
    path, sent = request.path, request.headers.get("Authorization")
    key = request.headers.get("apikey") or request.query.get("apikey")
    if not key:
        if path.startswith(OPEN_PATHS):
            return sent
        raise Refused(401, "no_api_key", "No API key found in request", "Send the publishable key as header apikey.")
    token = config.role_token(key)
    if token is None:
        raise Refused(401, "invalid_api_key", "Invalid API key", "Double check the API key.")
    if token == config.service_token and request.headers.get("User-Agent", "").startswith("Mozilla/"):
        raise Refused(401, "secret_key_in_browser", "Forbidden use of secret API key in browser")
    scheme, _, credentials = (sent or "").partition(" ")
    if (
        scheme.lower() == "bearer"
        and credentials.startswith("sb_")
        and not hmac.compare_digest(credentials.encode(), key.encode())
    ):
        raise Refused(401, "invalid_api_key", "An API key as Bearer must equal the apikey header")
    if sent and credentials and credentials != key:
        return sent
    if path.startswith("/auth/v1") and token == config.anon_token:
        return None  # the anonymous role means nothing to Auth, which asks for a person's token
    return f"Bearer {token}"


class Gateway:
    """The aiohttp application around one :class:`Config`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._session: aiohttp.ClientSession | None = None
        self._one_shot: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """The server, ready to run."""
        app = web.Application(client_max_size=0, handler_args={"access_log": None})
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_startup.append(self._open)
        app.on_cleanup.append(self._close)
        return app

    async def _open(self, _: web.Application) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=310)
        common: dict[str, Any] = {"timeout": timeout, "auto_decompress": False, "cookie_jar": aiohttp.DummyCookieJar()}
        # PostgREST keeps idle connections longer than we do; gunicorn may close one just as we use it, so those
        # requests get a connection of their own
        keep = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
        self._session = aiohttp.ClientSession(connector=keep, **common)
        self._one_shot = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True), **common)

    async def _close(self, _: web.Application) -> None:
        for session in (self._session, self._one_shot):
            if session is not None:
                await session.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request: route, answer, log."""
        began = time.monotonic()
        wanted = request.headers.get("X-Request-Id", "")
        request_id = wanted if REQUEST_ID.fullmatch(wanted) else secrets.token_hex(12)
        status = 499  # what the log says when the caller goes away before an answer
        try:
            response = await self._answer(request, request_id)
            status = response.status
            return response
        finally:
            line = {
                "event": "request",
                "method": request.method,
                "path": request.path,
                "status": status,
                "ms": round((time.monotonic() - began) * 1000, 1),
                "request_id": request_id,
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    async def _answer(self, request: web.Request, request_id: str) -> web.StreamResponse:
        path, config = request.path, self.config
        functions = path.startswith("/functions/v1/") or path == "/functions/v1"
        try:
            if path == "/mail" or path.startswith("/mail/"):
                return await self._mail(request, request_id)
            if request.method == "OPTIONS" and not functions:
                return self._preflight(request)
            if functions:
                headers = self._forwarded(request, request_id, request.headers.get("Authorization"))
                return await self._proxy(request, config.functions + request.raw_path, headers, self._one_shot)
            if path == "/verify":
                # links in Auth's mails lead here: it resolves their path against the origin alone
                headers = self._forwarded(request, request_id, None)
                return await self._proxy(request, config.auth + request.raw_path, headers, self._one_shot)
            for prefix, target, session in (
                ("/rest/v1", config.rest, self._session),
                ("/auth/v1", config.auth, self._one_shot),
                ("/storage/v1", config.storage, self._one_shot),
            ):
                if path == prefix or path.startswith(prefix + "/"):
                    if target == config.rest:
                        self._require_filter(request)
                    headers = self._forwarded(request, request_id, authorization(config, request))
                    rest_of_path = request.raw_path.removeprefix(prefix)
                    url = target + (rest_of_path if rest_of_path.startswith("/") else "/" + rest_of_path)
                    return await self._proxy(request, url, headers, session)
            for prefix, why in NOT_BUILT.items():
                if path.startswith(prefix):
                    raise Refused(501, "not_implemented", f"{why}.")
            raise Refused(404, "not_found", "No such path.", "Try /rest/v1, /auth/v1 or /functions/v1.")
        except Refused as refusal:
            response = refusal.response(request_id)
            self._allow_origin(request, response.headers, functions)
            return response

    @staticmethod
    def _require_filter(request: web.Request) -> None:
        """Refuses a PATCH or DELETE of a whole table, as the platform's ``safeupdate`` does."""
        if request.method in ("PATCH", "DELETE") and not set(request.query) - NO_FILTERS:
            verb = {"PATCH": "UPDATE", "DELETE": "DELETE"}[request.method]
            raise Refused(400, "21000", f"{verb} requires a WHERE clause", "Add a filter, such as id=eq.<id>.")

    async def _mail(self, request: web.Request, request_id: str) -> web.StreamResponse:
        """Passes on to the mail box, whose links sign people in.

        Only this machine's own names may ask: a page elsewhere could otherwise make its name lead here.
        """
        if request.url.host not in LOOPBACK_HOSTS:
            raise Refused(403, "forbidden", "The mail box answers on this machine alone.")
        headers = self._forwarded(request, request_id, None)
        return await self._proxy(request, self.config.mail + request.raw_path, headers, self._session)

    @staticmethod
    def _preflight(request: web.Request) -> web.Response:
        asked = request.headers.get("Access-Control-Request-Headers", "*")
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
                "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
                "Access-Control-Allow-Headers": asked,
                "Access-Control-Max-Age": "3600",
                "Vary": "Origin",
            },
        )

    @staticmethod
    def _allow_origin(request: web.Request, headers: CIMultiDict[str], functions: bool) -> None:
        """REST and Auth answer any origin, as the platform does: their lock is the token, not a cookie."""
        if "Origin" in request.headers and not functions and not request.path.startswith("/mail"):
            headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            headers.popall("Access-Control-Allow-Credentials", None)

    @staticmethod
    def _forwarded(request: web.Request, request_id: str, auth: str | None) -> CIMultiDict[str]:
        named = {part.strip().lower() for part in request.headers.get("Connection", "").split(",")}
        headers: CIMultiDict[str] = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP | named | {"authorization", "x-request-id", "forwarded"}
            and not name.lower().startswith("x-forwarded-")
        )
        if auth is not None:
            headers["Authorization"] = auth
        headers["X-Request-Id"] = request_id
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        headers["X-Forwarded-Host"] = request.host
        return headers

    async def _proxy(
        self,
        request: web.Request,
        url: str,
        headers: Mapping[str, str],
        session: aiohttp.ClientSession | None,
    ) -> web.StreamResponse:
        assert session is not None, "the application has started"
        functions = request.path.startswith("/functions/v1")
        body = request.content if request.body_exists else None
        try:
            upstream = await session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        except TimeoutError as error:
            raise Refused(
                504, "gateway_timeout", "The service behind did not answer in time.", retry_after=5
            ) from error
        except aiohttp.ClientError as error:
            raise Refused(503, "service_unavailable", "The service behind is not available.", retry_after=1) from error
        async with upstream:
            answer: CIMultiDict[str] = CIMultiDict(
                (name, value) for name, value in upstream.headers.items() if name.lower() not in HOP_BY_HOP
            )
            self._allow_origin(request, answer, functions)
            answer.setdefault("X-Request-Id", headers["X-Request-Id"])
            if upstream.status == 503:
                answer.setdefault("Retry-After", "1")
            length = upstream.headers.get("Content-Length")
            if length is not None and int(length) <= SMALL_BODY_BYTES and request.method != "HEAD":
                try:
                    whole = await upstream.read()
                except aiohttp.ClientError as error:
                    raise Refused(502, "bad_gateway", "The service behind broke off its answer.") from error
                answer.popall("Content-Length", None)
                return web.Response(status=upstream.status, headers=answer, body=whole or None)
            response = web.StreamResponse(status=upstream.status, headers=answer)
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


async def serve(config: Config) -> None:
    """Listens on loopback until SIGTERM or SIGINT."""
    runner = web.AppRunner(Gateway(config).application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config.port, backlog=1024).start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Config(**json.loads(Path(sys.argv[1]).read_text()))))
