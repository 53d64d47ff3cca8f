"""The short pages of a launch. Canvas shows them in a frame, so each names who may: the hosts of its registration.

They load nothing and run one fixed script, which the policy names by its hash. Values reach the script as JSON in a
data block, which no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from functions.shared.errors import AppError

# Sends {op: "put"|"get", target, origin, key, value?, next} to the frame in which the platform keeps our secret. The
# answer counts only when it comes from the platform's origin and names our message.
STORAGE_SCRIPT = """
(function () {
  var box = JSON.parse(document.getElementById('lti-storage').textContent);
  var id = box.op + '-' + Math.random().toString(36).slice(2);
  var over = false;
  function frame() {
    var parent = window.parent !== window ? window.parent : window.opener;
    if (!parent || box.target === '_parent') return parent;
    try { return parent.frames[box.target] || null; } catch (refused) { return null; }
  }
  function finish(value) {
    if (over) return;
    over = true;
    if (box.op === 'put') return location.replace(box.next);
    if (value) return location.replace(box.next + '&lti_binding=' + encodeURIComponent(value));
    document.getElementById('wait').hidden = true;
    document.getElementById('failed').hidden = false;
  }
  window.addEventListener('message', function (event) {
    var data = event.data;
    if (event.origin !== box.origin || !data || typeof data !== 'object') return;
    if (data.subject !== 'lti.' + box.op + '_data.response' || data.message_id !== id) return;
    finish(data.error ? null : data.value);
  });
  var target = frame();
  if (!target) return finish(null);
  var message = { subject: 'lti.' + box.op + '_data', message_id: id, key: box.key };
  if (box.op === 'put') message.value = box.value;
  target.postMessage(message, box.origin);
  setTimeout(function () { finish(null); }, 3000);
})();
"""
# Canvas opens the tool anew in a window of its own, where our cookies are no longer a third party's. The message holds
# no secret, and Canvas shows us from the school's own host, so it goes to whichever page shows us.
WINDOW_SCRIPT = """
(function () {
  var button = document.getElementById('open');
  button.addEventListener('click', function () {
    var parent = window.parent !== window ? window.parent : window.opener;
    if (!parent) return;
    var data = { url: button.dataset.url, launchType: 'new_window' };
    parent.postMessage({ subject: 'requestFullWindowLaunch', data: data }, '*');
  });
})();
"""
STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:36rem;padding:0 1rem;color:#222}"
    "button{font:inherit;padding:.5rem 1rem}small{color:#555}"
)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


SCRIPTS = f"{_hash(STORAGE_SCRIPT)} {_hash(WINDOW_SCRIPT)}"


@dataclass(frozen=True)
class Page:
    """A page as HTML, and how it is sent."""

    html: str
    status: int
    headers: Mapping[str, str]


def headers(origins: Sequence[str]) -> dict[str, str]:
    """The headers of every answer to a launch.

    :param origins: of the pages that may show it in a frame; none without any
    """
    ancestors = " ".join(("'self'", *origins)) if origins else "'none'"
    policy = f"default-src 'none'; script-src {SCRIPTS}; style-src {_hash(STYLE)}; base-uri 'none'; form-action 'none'"
    return {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": f"{policy}; frame-ancestors {ancestors}",
    }


def storage_page(box: Mapping[str, Any], target_link_uri: str, origins: Sequence[str]) -> Page:
    """A page that puts or gets our secret at the platform, then goes to ``next``.

    When the platform gives nothing back, it offers a new window instead.
    """
    failed = (
        f'<div id="failed" role="alert" hidden><p>Your browser keeps no cookies for us inside Canvas.</p>'
        f"{_window_button(target_link_uri)}</div>"
    )
    # "<" cannot end the block then
    data = json.dumps(box).replace("<", "\\u003c")
    body = (
        '<p id="wait" role="status">One moment: we are opening Headstart.</p>'
        f"<noscript><p>Switch JavaScript on to go on.</p></noscript>{failed if box['op'] == 'get' else ''}"
        f'<script type="application/json" id="lti-storage">{data}</script><script>{STORAGE_SCRIPT}</script>'
    )
    if box["op"] == "get":
        body += f"<script>{WINDOW_SCRIPT}</script>"
    return Page(_page("Headstart", body), 200, headers(origins))


def failure_page(error: AppError, error_id: str, origins: Sequence[str], *, window_url: str | None = None) -> Page:
    """What went wrong, for a person, with the id under which the log has the reason.

    :param window_url: the tool's address, to offer a new window
    """
    told = error.message
    if error.retry_after is not None:
        seconds = error.headers()["Retry-After"]
        told = f"Many people are coming in at this moment. Wait {seconds} seconds, then open it again from Canvas."
    body = f'<h1>This did not work</h1><p role="alert">{escape(told)}</p>'
    if window_url is not None:
        body += f"{_window_button(window_url)}<script>{WINDOW_SCRIPT}</script>"
    body += (
        f"<p><small>Code: {escape(error.code)}. If you ask for help, give this number: {escape(error_id)}</small></p>"
    )
    return Page(_page("This did not work", body), error.status, {**headers(origins), **error.headers()})


def scripted_page(
    title: str, body: str, script: str, origins: Sequence[str], *, form_origin: str | None = None
) -> Page:
    """A page with one script of ours, which may post a form to one origin.

    :param body: HTML, in which everything foreign is escaped
    """
    ancestors = " ".join(("'self'", *origins)) if origins else "'none'"
    target = form_origin or "'none'"
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(STYLE)}; base-uri 'none'; "
        f"form-action {target}; frame-ancestors {ancestors}"
    )
    html = _page(title, f"{body}<script>{script}</script>")
    return Page(html, 200, {**headers(origins), "Content-Security-Policy": policy})


def _window_button(url: str) -> str:
    return f'<p><button type="button" id="open" data-url="{escape(url)}">Open in a new window</button></p>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )
