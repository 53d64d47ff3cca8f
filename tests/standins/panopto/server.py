"""The server of the Panopto stand-in: real sockets, so that real clients meet real faults."""

from __future__ import annotations

import html
import json
import re
import secrets
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.standins.panopto.media import Burst, bursts, make_media

OPEN_SESSION = "0a6f2c1e-5b7d-4f3a-9c21-6d8e4b0f7a11"
GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
PODCAST = re.compile(rf"/Panopto/Podcast/(?:Social|Syndication|Stream|Download)/({GUID})\.mp4", re.IGNORECASE)
LINK_SECONDS = 20.0
PIECE_BYTES = 16 * 1024


@dataclass
class Session:
    """A recording and who may see it.

    ``access``: open, login (a page with status 200 instead of the recording) or gone. Without ``podcast`` the media
    have no podcast link, and ``delivery`` says what DeliveryInfo offers: podcast, stream, or hls alone.
    """

    id: str
    title: str = "Hash tables"
    access: str = "open"
    podcast: bool = True
    delivery: str = "podcast"
    captions: str | None = None
    media: Path | None = None  # None: the recording that the stand-in makes


@dataclass
class Asked:
    """One request. ``sent`` counts the bytes of media that went out."""

    method: str
    path: str
    range: str | None = None
    cookie: str | None = None
    sent: int = 0


@dataclass
class Link:
    """A signed address of media, which expires."""

    session: Session
    until: float
    version: str = field(default_factory=lambda: secrets.token_hex(4))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are expected here; everything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class PanoptoStandIn:
    """Use as a context manager. ``faults`` are used up one a media answer, see ``Handler.send_media``."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1", *, seconds: float = 60.0) -> None:
        self.seconds = seconds
        self.sessions: dict[str, Session] = {OPEN_SESSION: Session(OPEN_SESSION)}
        self.requests: list[Asked] = []
        self.faults: list[str] = []
        self.links: dict[str, Link] = {}
        self.over = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="panopto-")
        self._lock = threading.Lock()
        self._made: Path | None = None
        stand_in = self

        class Bound(Handler):
            panopto = stand_in

        self._server = _Server((host, port), Bound)
        self.host = f"{host}:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> PanoptoStandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._folder.cleanup()

    def add(self, session: Session) -> str:
        """Makes a recording known; the address of its viewer."""
        self.sessions[session.id] = session
        return self.viewer(session.id)

    def viewer(self, session_id: str = OPEN_SESSION) -> str:
        """The address people copy from their browser."""
        return f"{self.url}/Panopto/Pages/Viewer.aspx?id={session_id}"

    def said(self) -> list[Burst]:
        """What is said in the recording."""
        return bursts(self.seconds)

    def media(self, session: Session) -> Path:
        """The file of a recording, made when it is first needed."""
        if session.media is not None:
            return session.media
        with self._lock:
            if self._made is None:
                made = Path(self._folder.name) / "recording.mp4"
                make_media(made, self.seconds)
                self._made = made
        return self._made

    def link(self, session: Session) -> str:
        """A new signed path of its media."""
        token = secrets.token_urlsafe(12)
        with self._lock:
            fault = self.faults.pop(0) if self.faults[:1] == ["expired"] else None
            self.links[token] = Link(session, time.monotonic() + (-1 if fault else LINK_SECONDS))
        return f"/cdn/{token}/{session.id}.mp4"

    def next_fault(self) -> str | None:
        """The fault of this media answer."""
        with self._lock:
            return self.faults.pop(0) if self.faults else None

    def note(self, asked: Asked) -> None:
        """Keeps a request for tests."""
        with self._lock:
            self.requests.append(asked)

    def media_sent(self) -> int:
        """How many bytes of media went out."""
        return sum(asked.sent for asked in self.requests)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    panopto: PanoptoStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests are kept for whoever asks."""

    # ---- what is asked ----------------------------------------------------------------------------------------

    def do_GET(self) -> None:
        """Pages, media, captions, and what was asked so far."""
        parts = urlsplit(self.path)
        query = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked("GET", self.path, self.headers.get("Range"), self.headers.get("Cookie"))
        if parts.path != "/" and not parts.path.startswith("/control"):
            self.panopto.note(asked)
        podcast = PODCAST.fullmatch(parts.path)
        match parts.path:
            case "/":
                links = [f'<li><a href="{self.panopto.viewer(key)}">{key}</a></li>' for key in self.panopto.sessions]
                self.answer(200, f"<!DOCTYPE html><html><body><ul>{''.join(links)}</ul></body></html>")
            case "/control/requests":
                self.answer(200, {"requests": [vars(one) for one in self.panopto.requests]})
            case "/Panopto/Pages/Viewer.aspx" | "/Panopto/Pages/Embed.aspx":
                self.page(query.get("id", ""))
            case "/Panopto/Pages/Auth/Login.aspx":
                self.login()
            case "/Panopto/Pages/Transcription/GenerateSRT.ashx":
                self.captions(query.get("id", ""))
            case _ if podcast:
                self.podcast(podcast[1].lower())
            case path if path.startswith("/cdn/"):
                self.send_media(path.split("/")[2], asked)
            case _:
                self.answer(404, "<html><body>Not found</body></html>")

    def do_POST(self) -> None:
        """DeliveryInfo and control."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path == "/control":
            said = json.loads(body or "{}")
            for fields in said.get("sessions", []):
                self.panopto.add(Session(**fields))
            self.panopto.faults = list(said.get("faults", []))
            self.answer(200, {"viewers": {key: self.panopto.viewer(key) for key in self.panopto.sessions}})
            return
        self.panopto.note(Asked("POST", self.path, None, self.headers.get("Cookie")))
        if urlsplit(self.path).path == "/Panopto/Pages/Viewer/DeliveryInfo.aspx":
            self.delivery_info({name.lower(): values[0] for name, values in parse_qs(body).items()})
        else:
            self.answer(404, "<html><body>Not found</body></html>")

    def do_DELETE(self) -> None:
        """``DELETE /control`` forgets requests and faults."""
        self.panopto.requests.clear()
        self.panopto.faults.clear()
        self.answer(200, {})

    # ---- what is answered -------------------------------------------------------------------------------------

    def session(self, session_id: str) -> Session | None:
        """The recording, unless it is unknown or gone."""
        found = self.panopto.sessions.get(session_id.lower())
        return None if found is None or found.access == "gone" else found

    def page(self, session_id: str) -> None:
        session = self.session(session_id)
        if session is None:
            self.answer(404, "<html><body>This session does not exist.</body></html>")
        elif session.access == "login":
            self.redirect(f"/Panopto/Pages/Auth/Login.aspx?ReturnUrl={session.id}")
        else:
            self.answer(200, f"<!DOCTYPE html><html><head><title>{html.escape(session.title)}</title></head></html>")

    def login(self) -> None:
        """The real one answers 200 as well."""
        form = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form method=post></form></body></html>"
        self.answer(200, form, {"Set-Cookie": "ASP.NET_SessionId=secret; path=/"})

    def podcast(self, session_id: str) -> None:
        session = self.session(session_id)
        if session is None or not session.podcast:
            self.answer(404, "<html><body>Not found</body></html>")
        elif session.access == "login":
            self.redirect(f"/Panopto/Pages/Auth/Login.aspx?ReturnUrl={session.id}")
        else:
            self.redirect(self.panopto.link(session))

    def captions(self, session_id: str) -> None:
        session = self.session(session_id)
        if session is None or session.captions is None:
            self.answer(404, "<html><body>Not found</body></html>")
        else:
            self.answer(200, session.captions, kind="text/plain; charset=utf-8")

    def delivery_info(self, form: dict[str, str]) -> None:
        session = self.session(form.get("deliveryid", ""))
        if session is None:
            self.answer(200, {"ErrorCode": 3, "ErrorMessage": "This session does not exist."})
        elif session.access == "login":
            self.answer(200, {"ErrorCode": 2, "ErrorMessage": "Sign in to see this session."})
        else:
            address = {"StreamUrl": f"{self.panopto.url}{self.panopto.link(session)}"}
            playlist = {"StreamUrl": f"{self.panopto.url}/cdn/x/master.m3u8", "StreamTypeName": "Streaming"}
            delivery = {
                "SessionName": session.title,
                "PodcastStreams": [address] if session.delivery == "podcast" else [],
                "Streams": [playlist] if session.delivery == "hls" else [playlist, address],
                "HasCaptions": session.captions is not None,
                "AvailableLanguages": [] if session.captions is None else [1],
                "AvailableCaptions": [] if session.captions is None else [{"Language": 1}],
            }
            self.answer(200, {"SessionId": session.id, "Delivery": delivery})

    def send_media(self, token: str, asked: Asked) -> None:
        """The bytes, from a Range on. Faults: 500, hang, slow, cut (half of the rest), short, no-range, changed."""
        link = self.panopto.links.get(token)
        if link is None or time.monotonic() > link.until:
            self.answer(403, "<Error><Code>AccessDenied</Code></Error>")
            return
        fault = self.panopto.next_fault()
        if fault == "500":
            self.answer(500, "<html><body>Error</body></html>")
            return
        if fault == "hang":
            self.panopto.over.wait(60)
            self.close_connection = True
            return
        path = self.panopto.media(link.session)
        size = path.stat().st_size
        first = 0
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if found and fault != "no-range":
            first = int(found[1])
        # a server may answer with less than the range that was asked for
        end = (first + size) // 2 if fault == "short" else size
        partial = first > 0 or fault == "short"
        self.send_response(206 if partial else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("ETag", f'"{size}{"-new" if fault == "changed" else ""}"')
        self.send_header("Content-Length", str(end - first))
        if partial:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        self.end_headers()
        left = (end - first) // 2 if fault == "cut" else end - first
        with path.open("rb") as file:
            file.seek(first)
            while left > 0 and not self.panopto.over.is_set():
                part = file.read(min(PIECE_BYTES, left))
                self.wfile.write(part)
                asked.sent += len(part)
                left -= len(part)
                if fault == "slow":
                    time.sleep(0.1)
        self.close_connection = fault == "cut"

    def redirect(self, path: str) -> None:
        self.answer(302, "", {"Location": path})

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None, kind: str = "text/html") -> None:
        """A whole answer: text, or JSON for everything else."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
