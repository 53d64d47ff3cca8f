"""The whole dance in a real browser: a course page that shows us in a frame, with cookies of third parties blocked.

The platform is at ``localhost``, and our functions and front end are at ``127.0.0.1``: for the browser, two sites.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.serving import make_server

from functions.app import create_app
from functions.shared.settings import load_settings
from scripts.native.stack import Stack
from tests.standins.lti import LtiStandIn, Person
from tests.standins.lti.server import Quiet
from tests.support.browser import run_in_browser
from tests.support.lti import Browser

# what a front end does: take the ticket out of the address, exchange it, read rows as that person
FRONT_END = """<!doctype html><html lang="en"><title>Front end</title><p id="said">working</p><script>
(async () => {
  const given = new URLSearchParams(location.hash.slice(1))
  history.replaceState(null, '', location.pathname)
  const body = { ticket: given.get('lti_ticket') }
  if (given.get('lti_binding')) body.binding = given.get('lti_binding')
  const answer = await fetch('FUNCTIONS/lti/session', { method: 'POST', credentials: 'include',
    headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const session = await answer.json()
  if (!answer.ok) return document.getElementById('said').textContent = 'refused: ' + session.code
  const headers = { apikey: 'KEY', authorization: 'Bearer ' + session.access_token }
  const rows = await (await fetch('REST/teachers?select=name', { headers })).json()
  document.getElementById('said').textContent = 'signed in: ' + session.launch.role + ' ' + rows[0].name
})()
</script></html>"""
# Opens each course page in turn, presses the button of our page if there is one, and answers what the last window says.
SCRIPT = """
const one = await puppeteer.launch({
  executablePath: process.env.BROWSER_BINARY, pipe: true, args: [...args, '--test-third-party-cookie-phaseout'] })
const said = []
const complaints = []
for (const url of given) {
  const context = await one.createBrowserContext()
  const course = await context.newPage()
  course.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()) })
  await course.goto(url)
  const seen = {}
  const end = Date.now() + 20000
  while (Date.now() < end && !seen.last) {
    for (const page of await context.pages()) for (const frame of page.frames()) {
      const text = await frame.evaluate(() => document.body?.innerText ?? '').catch(() => '')
      if (/signed in:|refused:|cannot be loaded/.test(text)) seen.last = text.trim()
      const button = seen.pressed ? null : await frame.$('#open').catch(() => null)
      if (button && (await button.isVisible().catch(() => false))) {
        seen.pressed = await frame.evaluate(() => ({
          lang: document.documentElement.lang, title: document.title,
          alert: document.querySelector('[role=alert]').innerText }))
        await button.click()
      }
    }
    await new Promise((done) => setTimeout(done, 30))
  }
  seen.windows = (await context.pages()).length
  said.push(seen)
  await context.close()
}
await one.close()
await say({ said, complaints })
"""
# in front of the path: a browser that does not know partitions
OLD = "/old"


@dataclass
class Tool:
    """Our functions and a front end on ports of their own, over the stack's database and Auth."""

    functions_url: str
    front_url: str
    asked: list[str] = field(default_factory=list)


def serving(app: Any, port: int = 0) -> Any:
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server


@pytest.fixture
def tool(stack: Stack) -> Iterator[Tool]:
    front = Flask("front-end")
    front_server = serving(front)
    inner: dict[str, Any] = {}
    server = serving(lambda environ, start: inner["app"](environ, start))
    made = Tool(
        f"http://127.0.0.1:{server.server_port}/functions/v1", f"http://127.0.0.1:{front_server.server_port}/page"
    )
    settings = replace(
        load_settings(stack.service_environment()),
        functions_url=made.functions_url,
        frontend_url=made.front_url,
        redirect_allowlist=(made.front_url,),
    )
    app = create_app(settings)

    def note() -> None:
        made.asked.append(f"{request.full_path} {request.headers.get('Referer', '')}")

    app.before_request_funcs.setdefault(None, []).insert(0, note)
    front.before_request(note)

    def answer(environ: Any, start: Any) -> Any:
        """A browser that does not know partitions ignores the attribute; for it, the cookie is a third party's."""

        is_old = environ["PATH_INFO"].startswith(OLD)
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(OLD)

        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if is_old:
                headers = [
                    (name, value.replace("; Partitioned", "") if name == "Set-Cookie" else value)
                    for name, value in headers
                ]
            return start(status, headers, *more)

        return app.wsgi_app(environ, started)

    inner["app"] = answer

    @front.get("/page")
    def page() -> Response:
        text = FRONT_END.replace("FUNCTIONS", made.functions_url).replace("REST", f"{stack.url}/rest/v1")
        return Response(text.replace("KEY", stack.keys.publishable_key), content_type="text/html")

    for one in (server, front_server):
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield made
    for one in (server, front_server):
        one.shutdown()
        one.server_close()


def test_people_come_in_whatever_their_browser_keeps(stack: Stack, tool: Tool, connection_id: str, node: str) -> None:
    with LtiStandIn(host="localhost") as lti:
        lti.first.register(stack.rest_url, stack.service_token, connection_id)
        browser = Browser(tool.functions_url, tool.front_url)

        def course(old: str, storage_target: str | None) -> str:
            login_url = f"{tool.functions_url.replace('/functions', f'{old}/functions')}/lti/login"
            return lti.course_page(lti.first, browser.launch(Person()), login_url, storage_target)

        courses = [
            course("", None),  # a cookie of a partition of its own is kept although those of third parties are blocked
            course(OLD, "post_message_forwarding"),  # the platform's storage, in either frame
            course(OLD, "_parent"),
            course(OLD, None),  # nothing keeps the secret: a new window
            course(OLD, "gone"),  # nor does a storage that does not answer
        ]
        answer = run_in_browser(node, SCRIPT, *courses)
    said = answer["said"]
    assert [one["last"] for one in said] == ["signed in: teacher Terry Teacher"] * 5
    assert [one["windows"] for one in said] == [1, 1, 1, 2, 2]
    assert ["pressed" in one for one in said] == [False, False, False, True, True]
    for one in said[3:]:
        assert one["pressed"]["lang"] == "en"
        assert one["pressed"]["title"]
        assert "keeps no cookies" in one["pressed"]["alert"]
    assert [text for text in answer["complaints"] if "Content Security Policy" in text] == []
    # no token, ticket or secret is in an address or a Referer; state and nonce go to the platform alone
    assert any(line.startswith("/page") for line in tool.asked)
    for line in tool.asked:
        assert not any(word in line for word in ("ticket", "binding", "id_token", "eyJ", "state=", "nonce="))
