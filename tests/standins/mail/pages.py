"""The pages of the box: plain HTML without scripts, under a policy that would run none."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from tests.standins.mail.box import Message, linked

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color-scheme: light dark }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem 0.3rem 0; border-bottom: 1px solid #8888 }
caption { text-align: left; padding: 0.5rem 0 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; border: 1px solid #8888; padding: 0.8rem }
a { overflow-wrap: anywhere }
"""


def _page(title: str, main: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="stylesheet" href="/mail/style.css">\n</head>\n<body>\n'
        f"<main>\n<h1>{escape(title)}</h1>\n{main}\n</main>\n</body>\n</html>\n"
    )


def list_page(messages: Sequence[Message], to: str | None) -> str:
    """Every message, or those to one address."""
    form = (
        '<form action="/mail" method="get">\n<label for="to">Only mails to</label>\n'
        f'<input id="to" name="to" type="email" value="{escape(to or "")}">\n<button>Show</button>\n</form>\n'
    )
    rows = "".join(
        f"<tr><td>{escape(m.received_at)}</td><td>{_recipients(m)}</td>"
        f'<td><a href="/mail/{m.id}">{escape(m.subject) or "(no subject)"}</a></td></tr>\n'
        for m in messages
    )
    if not rows:
        return _page("Mail box", form + "<p>No mail has come yet. Reload the page to look again.</p>")
    table = (
        f"<table>\n<caption>{len(messages)} mails, newest first</caption>\n"
        '<thead><tr><th scope="col">Received</th><th scope="col">To</th><th scope="col">Subject</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table>"
    )
    return _page("Mail box", form + table)


def message_page(message: Message) -> str:
    """One message: its text with clickable addresses, and the links that its HTML hides."""
    links = "".join(f'<li><a href="{escape(link)}">{escape(link)}</a></li>\n' for link in message.links)
    about = (
        '<p><a href="/mail">All mails</a></p>\n<table>\n<caption>Envelope</caption>\n<tbody>\n'
        f'<tr><th scope="row">From</th><td>{escape(message.sender)}</td></tr>\n'
        f'<tr><th scope="row">To</th><td>{_recipients(message)}</td></tr>\n'
        f'<tr><th scope="row">Received</th><td>{escape(message.received_at)}</td></tr>\n</tbody>\n</table>\n'
    )
    text = f"<h2>Text</h2>\n<pre>{linked(message.text)}</pre>\n"
    return _page(
        message.subject or "(no subject)", about + text + (f"<h2>Links</h2>\n<ul>\n{links}</ul>" if links else "")
    )


def _recipients(message: Message) -> str:
    return ", ".join(f'<a href="/mail?to={quote(address)}">{escape(address)}</a>' for address in message.to)
