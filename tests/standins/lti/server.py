"""Serves platforms: key set, authorization endpoint, and a course page that shows the tool in a frame.

The course page is what a browser opens: a frame that logs in at the tool, beside it the frame of platform storage.
"""

from __future__ import annotations

import html
import logging
import secrets
import threading
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.standins.lti.platform import Launch, Platform
from tests.standins.lti.services import add_services

SHARED_ISSUER = "https://canvas.instructure.com"
# Canvas refuses a request that lacks one of these
WANTED = {"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none"}
NEEDED = ("client_id", "redirect_uri", "login_hint", "lti_message_hint", "nonce", "state")


# keeps what a tool puts, and gives it back to pages of the same origin
STORAGE_SCRIPT = """
const kept = new Map()
addEventListener('message', (event) => {
  const { subject, message_id, key, value } = event.data ?? {}
  const place = event.origin + ' ' + key
  if (subject === 'lti.put_data') kept.set(place, value)
  else if (subject !== 'lti.get_data') return
  const answer = { subject: subject + '.response', message_id, key, value: kept.get(place) }
  event.source.postMessage(answer, event.origin)
})
"""
COURSE = """<!doctype html><html lang="en"><title>Biology</title><h1>Biology</h1>
<iframe name="post_message_forwarding" src="STORAGE" hidden></iframe>
<iframe name="tool_content" title="Headstart" width="800" height="500"></iframe>
<script>
SHARED
addEventListener('message', (event) => {
  if (event.data?.subject === 'requestFullWindowLaunch') open('TOOL?window=1')
})
addEventListener('load', () => { document.querySelector('[name=tool_content]').src = 'TOOL' })
</script></html>"""


class Quiet(WSGIRequestHandler):
    """No access log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


class LtiStandIn:
    """Two platforms in threads of this process; a context manager.

    They share one issuer and one client id, as self-hosted installations of Canvas do, and have their own keys.
    ``first`` and ``second`` are the platforms.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.platforms: dict[str, Platform] = {}
        self._server = make_server(host, port, create_app(self.platforms), threaded=True, request_handler=Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.url = f"http://{host}:{self._server.server_port}"
        # like that of no stand-in before, whose registrations may still be there
        self.client_id = str(10**13 + secrets.randbelow(10**12))
        self.first, self.second = self.add("first"), self.add("second")
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def add(self, name: str, issuer: str = SHARED_ISSUER, client_id: str | None = None) -> Platform:
        """A further platform."""
        self.platforms[name] = Platform(name, f"{self.url}/{name}", issuer, client_id or self.client_id)
        return self.platforms[name]

    def course_page(self, platform: Platform, launch: Launch, login_url: str, storage_target: str | None) -> str:
        """The address of a page that shows the tool in a frame, and in a window of its own when the tool asks for it.

        :param storage_target: the frame that the login names for platform storage: ``post_message_forwarding``,
            ``_parent`` or one that does not exist; None for a platform without storage
        """
        more = {} if storage_target is None else {"lti_storage_target": storage_target}
        platform.pages.append((launch, login_url, more))
        return f"{platform.base_url}/course/{len(platform.pages) - 1}"

    def __enter__(self) -> LtiStandIn:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def create_app(platforms: dict[str, Platform]) -> Flask:
    """Serves these platforms, each below its name."""
    app = Flask("lti-stand-in")

    def platform_named(name: str) -> Platform:
        return platforms.get(name) or abort(404)

    @app.get("/<name>/jwks")
    def jwks(name: str) -> Response:
        """The key set."""
        platform = platform_named(name)
        platform.jwks_reads += 1
        if platform.jwks_down:
            abort(503)
        return jsonify(platform.key_set())

    @app.route("/<name>/auth", methods=["GET", "POST"])
    def auth(name: str) -> Response:
        """Answers with a form that posts the token, or an error, to the tool."""
        platform, given = platform_named(name), request.values
        target, state = given.get("redirect_uri", ""), given.get("state", "")
        launch = platform.take(given.get("lti_message_hint", ""))
        if any(given.get(field) != value for field, value in WANTED.items()) or not all(map(given.get, NEEDED)):
            return form_post(target, {"error": "invalid_request_object", "state": state})
        if given["client_id"] != platform.client_id:
            return form_post(target, {"error": "unauthorized_client", "state": state})
        if launch is None:
            return form_post(target, {"error": "launch_no_longer_valid", "state": state})
        if given["login_hint"] != (launch.person.sub or "anonymous"):
            return form_post(target, {"error": "login_required", "state": state})
        return form_post(target, {"id_token": platform.token(launch, given["nonce"]), "state": state})

    @app.get("/<name>/course/<int:number>")
    def course(name: str, number: int) -> Response:
        """The page of a course."""
        platform = platform_named(name)
        page = COURSE.replace("STORAGE", f"{platform.base_url}/storage").replace("TOOL", f"{request.path}/tool")
        return Response(page.replace("SHARED", STORAGE_SCRIPT), content_type="text/html; charset=utf-8")

    @app.get("/<name>/course/<int:number>/tool")
    def tool(name: str, number: int) -> Response:
        """Logs in at the tool, in a frame or a window; each time it is a launch of its own."""
        platform = platform_named(name)
        launch, login_url, more = platform.pages[number]
        return form_post(login_url, platform.begin(launch, **({} if "window" in request.args else more)))

    @app.get("/<name>/storage")
    def storage(name: str) -> Response:
        """The frame of platform storage."""
        platform_named(name)
        return Response(f"<!doctype html><script>{STORAGE_SCRIPT}</script>", content_type="text/html; charset=utf-8")

    add_services(app, platform_named)
    return app


def form_post(target: str, fields: dict[str, str]) -> Response:
    """A page that posts fields at once."""
    if urlsplit(target).scheme not in ("http", "https"):
        abort(400)
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    page = f'<!doctype html><form method="post" action="{html.escape(target)}">{inputs}</form>'
    return Response(f"{page}<script>document.forms[0].submit()</script>", content_type="text/html; charset=utf-8")


def fields_of(page: str) -> dict[str, Any]:
    """The fields of such a page, for tests that play the browser."""
    parts = page.split('name="')[1:]
    return {html.unescape(part.split('"')[0]): html.unescape(part.split('value="')[1].split('"')[0]) for part in parts}
