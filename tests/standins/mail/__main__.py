"""Serves the box: ``python -m tests.standins.mail --smtp-port N --http-port M``, on loopback alone."""

from __future__ import annotations

import argparse
import asyncio
import signal

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.standins.mail.box import Box, Message
from tests.standins.mail.pages import POLICY, STYLE, list_page, message_page

HOST = "127.0.0.1"
MAX_MAIL_BYTES = 25 * 2**20
BOX = web.AppKey("box", Box)


class Receiver:
    """Takes every mail, but for addresses that ask to be refused."""

    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whether this recipient is taken."""
        if address.startswith("bounce"):
            return "550 5.1.1 No such mailbox"
        if address.startswith("busy"):
            return "451 4.7.1 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keeps the mail."""
        content = envelope.content or b""
        message = self._box.put(
            envelope.mail_from or "",
            envelope.rcpt_tos,
            bytes(content, "utf-8") if isinstance(content, str) else content,
        )
        return f"250 OK: kept as {message.id}"


def application(box: Box) -> web.Application:
    """Page and API over a box."""
    app = web.Application()
    app[BOX] = box
    app.router.add_get("/mail", show_list)
    app.router.add_get("/mail/", show_list)
    app.router.add_get("/mail/style.css", show_style)
    app.router.add_get("/mail/{id}", show_message)
    app.router.add_get("/mail/api/messages", list_messages)
    app.router.add_delete("/mail/api/messages", delete_messages)
    app.router.add_get("/mail/api/messages/{id}", get_message)
    app.router.add_delete("/mail/api/messages/{id}", delete_message)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"


async def show_list(request: web.Request) -> web.Response:
    """GET /mail: the list as a page."""
    to = request.query.get("to") or None
    return web.Response(text=list_page(request.app[BOX].list(to), to), content_type="text/html")


async def show_message(request: web.Request) -> web.Response:
    """GET /mail/{id}: one message as a page."""
    return web.Response(text=message_page(_message(request)), content_type="text/html")


async def show_style(_: web.Request) -> web.Response:
    """GET /mail/style.css"""
    return web.Response(text=STYLE, content_type="text/css")


async def list_messages(request: web.Request) -> web.Response:
    """GET /mail/api/messages: newest first, all or those ``to`` an address."""
    found = request.app[BOX].list(request.query.get("to"))
    return web.json_response({"messages": [message.json() for message in found]})


async def get_message(request: web.Request) -> web.Response:
    """GET /mail/api/messages/{id}"""
    return web.json_response(_message(request).json())


async def delete_messages(request: web.Request) -> web.Response:
    """DELETE /mail/api/messages: all, or those ``to`` an address."""
    box = request.app[BOX]
    return web.json_response({"deleted": box.delete(box.list(request.query.get("to")))})


async def delete_message(request: web.Request) -> web.Response:
    """DELETE /mail/api/messages/{id}"""
    return web.json_response({"deleted": request.app[BOX].delete([_message(request)])})


def _message(request: web.Request) -> Message:
    message = request.app[BOX].get(request.match_info["id"])
    if message is None:
        body = {"code": "not_found", "message": "No mail with this id.", "details": None, "hint": None}
        raise web.HTTPNotFound(text=str(web.json_response(body).text), content_type="application/json")
    return message


async def serve(smtp_port: int, http_port: int) -> None:
    """Listens on both ports until SIGTERM or SIGINT."""
    box, loop = Box(), asyncio.get_running_loop()

    def connection() -> SMTP:
        return SMTP(
            Receiver(box),
            hostname="localhost",
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            authenticator=lambda *_: AuthResult(success=True),
            auth_require_tls=False,
        )

    smtp = await loop.create_server(connection, HOST, smtp_port)
    runner = web.AppRunner(application(box), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, HOST, http_port).start()
    print(f"mail: SMTP on port {smtp_port}, page on http://{HOST}:{http_port}/mail", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    smtp.close()
    await runner.cleanup()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--smtp-port", type=int, required=True)
    options.add_argument("--http-port", type=int, required=True)
    chosen = options.parse_args()
    asyncio.run(serve(chosen.smtp_port, chosen.http_port))
