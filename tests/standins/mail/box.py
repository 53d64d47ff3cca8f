"""The box: messages in memory, newest first, and what can be read out of one."""

from __future__ import annotations

import email
import email.policy
import html
import itertools
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser

MAX_MESSAGES = 1000
WEB_ADDRESS = re.compile(r"https?://[^\s<>\"')\]]+")
BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote"}
HIDDEN = {"script", "style", "head", "title"}


@dataclass(frozen=True)
class Message:
    """One mail. ``to`` holds the envelope's recipients, ``text`` is the HTML's text where there is no plain part."""

    id: str
    received_at: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str | None
    links: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]

    def json(self) -> dict[str, object]:
        """As the API shows it."""
        return {
            "id": self.id,
            "received_at": self.received_at,
            "from": self.sender,
            "to": list(self.to),
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "links": list(self.links),
            "headers": [{"name": name, "value": value} for name, value in self.headers],
        }


class Box:
    """The messages that came, at most :data:`MAX_MESSAGES`: the oldest go first."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=MAX_MESSAGES)
        self._ids = itertools.count(1)

    def put(self, sender: str, to: Sequence[str], content: bytes) -> Message:
        """Keeps a mail; ``content`` is the message as SMTP carried it. Anything at all is kept."""
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        plain, rich = _part(parsed, "plain"), _part(parsed, "html")
        reader = _Reader()
        reader.feed(rich or "")
        text = plain if plain is not None else reader.text()
        found = [*reader.links, *WEB_ADDRESS.findall(text)]
        message = Message(
            id=str(next(self._ids)),
            received_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            sender=sender,
            to=tuple(address.lower() for address in to),
            subject=_header(parsed, "Subject"),
            text=text,
            html=rich,
            links=tuple(dict.fromkeys(link for link in found if link.startswith(("http://", "https://")))),
            headers=tuple((name, _header(parsed, name)) for name in parsed.keys()),  # noqa: SIM118  (repeats count)
        )
        self._messages.appendleft(message)
        return message

    def list(self, to: str | None = None) -> list[Message]:
        """Messages, newest first: all, or those to one address."""
        return [message for message in self._messages if to is None or to.lower() in message.to]

    def get(self, message_id: str) -> Message | None:
        """One message."""
        return next((message for message in self._messages if message.id == message_id), None)

    def delete(self, messages: Sequence[Message]) -> int:
        """Removes messages; answers how many were there."""
        before = len(self._messages)
        gone = {message.id for message in messages}
        self._messages = deque((m for m in self._messages if m.id not in gone), maxlen=MAX_MESSAGES)
        return before - len(self._messages)


def _header(parsed: EmailMessage, name: str) -> str:
    try:
        return str(parsed[name] or "")
    except (ValueError, IndexError, AttributeError):  # the parser stumbles over some broken headers
        return ""


def _part(parsed: EmailMessage, kind: str) -> str | None:
    body = parsed.get_body((kind,))
    if body is None:
        return None
    try:
        return str(body.get_content())
    except (LookupError, ValueError):  # an unknown charset
        payload = body.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


class _Reader(HTMLParser):
    """Text and links of an HTML mail."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self._pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in HIDDEN
        if tag in BLOCKS:
            self._pieces.append("\n")
        if tag == "a":
            self.links += [value.strip() for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in HIDDEN and self._hidden > 0
        if tag in BLOCKS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._pieces.append(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        lines = [line.strip() for line in "".join(self._pieces).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def linked(text: str) -> str:
    """Text as HTML: escaped, its web addresses clickable."""
    pieces, at = [], 0
    for found in WEB_ADDRESS.finditer(text):
        address = html.escape(found[0])
        pieces += [html.escape(text[at : found.start()]), f'<a href="{address}">{address}</a>']
        at = found.end()
    return "".join([*pieces, html.escape(text[at:])])
