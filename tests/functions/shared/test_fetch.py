"""Foreign addresses: each hop is checked, each wait ends, each byte counts, and nothing identifies anybody."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.shared import http
from functions.shared.fetch import MAX_CHUNK_BYTES, MAX_REDIRECTS, Fetcher, RedirectRefused, is_listed
from functions.shared.http import (
    AddressRefused,
    AnswerTooLarge,
    AnswerUnreadable,
    DeadlineExceeded,
    OutboundError,
    Unreachable,
)
from tests.functions.shared.conftest import Handler, Loopback, hang_up, reply

Serve = Callable[[Handler], Loopback]
LOCAL = Fetcher(local=True, contact="https://study.example.edu")
ROOM = 1_000_000


def fetch(url: str, *, fetcher: Fetcher = LOCAL, max_bytes: int = ROOM, total: float = 5.0, read: float = 5.0) -> bytes:
    """The body at an address."""
    with fetcher.get(url, max_bytes=max_bytes, total_seconds=total, read_seconds=read) as answer:
        return answer.read()


def to(location: str, status: int = 302) -> Handler:
    """A redirect."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", location)
        handler.send_header("Set-Cookie", "session=of-somebody; Path=/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def encoded(body: bytes, encoding: str, status: int = 200) -> Handler:
    """An answer that claims an encoding."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Encoding", encoding)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Replaces name resolution: every look gets the next answer, the last one again and again. Returns the looks."""
    looks: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: object, **kwargs: object) -> object:
        if host in answers:  # an address, on its way to the connection
            return real(host, port, *args, **kwargs)  # type: ignore[arg-type]
        looks.append(host)
        address = answers[min(len(looks), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return looks


# ---- what is read -------------------------------------------------------------------------------------------------


def test_a_page_comes_back_with_the_address_it_ended_at(loopback: Serve) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        found = handler.path == "/found?x=1"
        (reply(handler, 200, b"<p>here</p>", "Text/HTML; charset=utf-8") if found else to("/found?x=1#part")(handler))

    server = loopback(answer)
    with LOCAL.get(f"{server.url}/start", max_bytes=ROOM, total_seconds=5) as page:
        assert (page.status, page.media_type, page.url) == (200, "text/html", f"{server.url}/found?x=1")
        assert page.read() == b"<p>here</p>"
    assert server.seen == ["/start", "/found?x=1"]


def test_a_status_is_handed_to_the_caller(loopback: Serve) -> None:
    with LOCAL.get(loopback(lambda it: reply(it, 404, b"no")).url, max_bytes=ROOM, total_seconds=5) as page:
        assert (page.status, page.read()) == (404, b"no")


def test_a_range_is_asked_for_and_not_compressed(loopback: Serve) -> None:
    seen: dict[str, str] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.update(handler.headers)
        reply(handler, 206, b"rest", "video/mp4")

    url = loopback(answer).url
    with LOCAL.get(url, max_bytes=ROOM, total_seconds=5, headers={"Range": "bytes=5-"}) as part:
        assert (part.status, part.read()) == (206, b"rest")
    assert (seen["range"], seen["accept-encoding"]) == ("bytes=5-", "identity")
    fetch(url)
    assert seen["accept-encoding"] == "gzip"
    assert seen["User-Agent"] == "Headstart/1 (+https://study.example.edu)"


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Host", "Proxy-Authorization", "X-Api-Key"])
def test_nothing_that_identifies_somebody_can_be_sent(name: str) -> None:
    with (
        pytest.raises(ValueError, match="headers must be among"),
        LOCAL.get("https://example.edu/", max_bytes=1, total_seconds=1, headers={name: "x"}),
    ):
        pass


def test_cookies_and_proxies_stay_out(loopback: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    cookies: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        cookies.append(handler.headers["Cookie"])
        (to("/there") if handler.path != "/there" else lambda it: reply(it, 200, b"ok"))(handler)

    assert fetch(f"{loopback(answer).url}/") == b"ok"
    assert cookies == [None, None]


# ---- where a hop may lead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[64:ff9b:1::1]/",
        "https://[2002:a9fe:a9fe::1]/",
        "https://[::a9fe:a9fe]/",
        "https://[fec0::1]/",
        "https://224.0.0.1/",
        "https://[ff02::1]/",
        "https://240.0.0.1/",
        "http://example.edu/",
        "file:///dev/null",
        "ftp://example.edu/",
        "https://me:secret@example.edu/",
        "//user@example.edu/",
    ],
)
@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_is_checked_like_the_first_address(
    target: str, status: int, loopback: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = loopback(to(target, status))
    real = socket.create_connection

    def only_home(address: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
        assert address == ("127.0.0.1", server.port), "a refused address was called"
        return real(address, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", only_home)
    with pytest.raises(AddressRefused):
        fetch(server.url)
    assert server.seen == ["/"]


def test_loopback_is_for_local_work_alone(loopback: Serve) -> None:
    server = loopback(lambda it: reply(it, 200, b"inside"))
    strict = Fetcher(local=False)
    for url in (server.url, f"http://localhost:{server.port}/", f"https://127.0.0.1:{server.port}/"):
        with pytest.raises(AddressRefused):
            fetch(url, fetcher=strict)
    assert server.seen == []


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"],
)
def test_a_public_name_with_a_private_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, address)
    for fetcher in (LOCAL, Fetcher(local=False)):
        with pytest.raises(AddressRefused):
            fetch("https://rebinding.example.edu/", fetcher=fetcher)


def test_a_name_that_changes_between_two_looks_gets_one_look(loopback: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer of this DNS would lead elsewhere; the connection goes to the address that was checked."""
    server = loopback(lambda it: reply(it, 200, b"checked"))
    looks = resolve_to(monkeypatch, "127.0.0.1", "10.0.0.1")
    assert fetch(f"http://shifty.localhost:{server.port}/") == b"checked"
    assert looks == ["shifty.localhost"]
    with pytest.raises(AddressRefused):  # the next call looks again, and gets the private address
        fetch(f"http://shifty.localhost:{server.port}/")


def test_every_hop_looks_its_name_up_again(loopback: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = loopback(to("/again"))
    looks = resolve_to(monkeypatch, "127.0.0.1", "192.168.0.9")
    with pytest.raises(AddressRefused):
        fetch(f"http://shifty.localhost:{server.port}/")
    assert (looks, server.seen) == (["shifty.localhost"] * 2, ["/"])


def test_a_redirect_to_nowhere_is_refused(loopback: Serve) -> None:
    for answer in (to(""), lambda it: reply(it, 302, b"")):
        with pytest.raises(RedirectRefused):
            fetch(loopback(answer).url)
    with pytest.raises(OutboundError):
        fetch(loopback(to("https://[::1")).url)


def test_a_loop_ends_after_five_redirects(loopback: Serve) -> None:
    server = loopback(to("/loop"))
    with pytest.raises(RedirectRefused):
        fetch(f"{server.url}/loop")
    assert len(server.seen) == MAX_REDIRECTS + 1


def test_five_redirects_are_followed(loopback: Serve) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        step = int(handler.path[1:])
        (to(f"/{step + 1}") if step < MAX_REDIRECTS else lambda it: reply(it, 200, b"end"))(handler)

    assert fetch(f"{loopback(answer).url}/0") == b"end"


def test_only_listed_hosts_are_called_on_every_hop(loopback: Serve) -> None:
    there = loopback(lambda it: reply(it, 200, b"there"))
    here = loopback(to(f"{there.url}/"))
    hosts = [f"127.0.0.1:{here.port}"]
    with pytest.raises(AddressRefused), LOCAL.get(here.url, max_bytes=9, total_seconds=5, hosts=hosts):
        pass
    assert there.seen == []
    hosts.append(f"127.0.0.1:{there.port}")
    with LOCAL.get(here.url, max_bytes=9, total_seconds=5, hosts=hosts) as page:
        assert page.read() == b"there"


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("https://a.example.edu/x", True),
        ("https://A.Example.EDU./x", True),
        ("https://a.example.edu:443/", True),
        ("https://a.example.edu:8443/", False),
        ("https://b.example.edu/", False),
        ("https://x.video.example/", True),
        ("https://x.y.video.example/", True),
        ("https://video.example/", False),
        ("https://notvideo.example/", False),
        ("https://a.example.edu.evil.example/", False),
        ("https://[::1]:9/", True),
        ("https://a.example.edu:nine/", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_which_hosts_a_list_means(url: str, listed: bool) -> None:
    assert is_listed(url, ["a.example.edu", "*.video.example", "[::1]:9", "a:b:c", ""]) is listed


# ---- TLS ----------------------------------------------------------------------------------------------------------


class TlsServer:
    """Two answers over TLS: a redirect at /leave, else a page. ``names`` holds the SNI and Host of each request."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "page.localhost")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("page.localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        ).public_bytes(serialization.Encoding.PEM)
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + self.certificate
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        self.names: list[str | None] = []
        context.sni_callback = lambda _socket, server_name, _context: self.names.append(server_name)
        self.location = ""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    request = secure.recv(65536).decode()
                    self.names.append(next(line[6:] for line in request.split("\r\n") if line.startswith("Host: ")))
                    head = f"302 Found\r\nLocation: {self.location}" if request.startswith("GET /leave ") else "200 OK"
                    secure.sendall(f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\nok".encode())
            except (OSError, ssl.SSLError):
                plain.close()

    def close(self) -> None:
        """Stops listening."""
        self._listening.close()


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """A server whose certificate is for page.localhost, and is trusted."""
    server = TlsServer(tmp_path)
    trust = ssl.create_default_context(cadata=server.certificate.decode())
    monkeypatch.setattr(http, "tls", lambda: trust)
    yield server
    server.close()


def test_the_checked_address_is_called_under_its_own_name(secure: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.1")
    assert fetch(f"https://page.localhost:{secure.port}/") == b"ok"
    assert secure.names == ["page.localhost", f"page.localhost:{secure.port}"]


def test_a_certificate_of_another_name_is_refused(secure: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.1")
    with pytest.raises(Unreachable):
        fetch(f"https://other.localhost:{secure.port}/")


def test_https_never_becomes_http(secure: TlsServer, loopback: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.1")
    server = loopback(lambda it: reply(it, 200, b"in the clear"))
    for secure.location in (f"http://page.localhost:{server.port}/", f"HTTP://127.0.0.1:{server.port}/"):
        with pytest.raises(RedirectRefused):
            fetch(f"https://page.localhost:{secure.port}/leave")
    assert server.seen == []


# ---- sizes and times ----------------------------------------------------------------------------------------------


def test_a_body_ends_at_the_limit(loopback: Serve) -> None:
    server = loopback(lambda it: reply(it, 200, b"x" * 300_000))
    assert len(fetch(server.url, max_bytes=300_000)) == 300_000
    with pytest.raises(AnswerTooLarge):
        fetch(server.url, max_bytes=299_999)


def test_a_body_without_a_length_ends_at_the_limit_too(loopback: Serve) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            handler.close_connection = True

    with pytest.raises(AnswerTooLarge):
        fetch(loopback(endless).url, max_bytes=200_000)


@pytest.mark.parametrize("body", [b"", b"short", os.urandom(500_000), b"page " * 100_000])
def test_gzip_is_undone(body: bytes, loopback: Serve) -> None:
    assert fetch(loopback(encoded(gzip.compress(body), "GZIP")).url) == body


def test_gzip_in_several_members_is_one_body(loopback: Serve) -> None:
    assert fetch(loopback(encoded(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip")).url) == b"one two"


def test_a_gzip_bomb_ends_at_the_limit_in_small_pieces(loopback: Serve) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()  # 200 MiB in 200 KiB
    url, sizes = loopback(encoded(bomb, "gzip")).url, [0]

    def drain() -> None:
        with LOCAL.get(url, max_bytes=ROOM, total_seconds=5) as answer:
            sizes.extend(map(len, answer.chunks()))

    with pytest.raises(AnswerTooLarge):
        drain()
    assert 0 < max(sizes) <= MAX_CHUNK_BYTES
    assert sum(sizes) <= ROOM


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (encoded(gzip.compress(b"x" * 9000)[:-12], "gzip"), Unreachable),
        (encoded(b"not gzip at all", "gzip"), AnswerUnreadable),
        (encoded(gzip.compress(b"x") + b"junk", "gzip"), AnswerUnreadable),
        (encoded(gzip.compress(gzip.compress(b"x")), "gzip, gzip"), AnswerUnreadable),
        (encoded(b"x", "br"), AnswerUnreadable),
        (encoded(gzip.compress(b"x"), "gzip", 206), AnswerUnreadable),
        (hang_up, Unreachable),
    ],
)
def test_a_broken_body_is_never_a_whole_one(answer: Handler, failure: type[OutboundError], loopback: Serve) -> None:
    with pytest.raises(failure):
        fetch(loopback(answer).url)


def slowly(pieces: bytes, pause: float) -> Handler:
    """Writes one byte at a time, straight to the connection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        for byte in pieces:
            try:
                handler.connection.sendall(bytes([byte]))
            except OSError:
                return
            time.sleep(pause)

    return answer


@pytest.mark.parametrize(
    "dripped",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 200,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 200,
        b"HTTP/1.1 302 Found\r\nLocation: /" + b"w" * 200,
    ],
    ids=["header", "body", "redirect"],
)
def test_a_slow_drip_ends_at_the_total_deadline(dripped: bytes, loopback: Serve) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        fetch(loopback(slowly(dripped, 0.03)).url, total=0.8)
    assert 0.7 < time.monotonic() - began < 5


def test_redirects_share_one_deadline(loopback: Serve) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(1.2 if handler.path == "/" else 3)
        to("/more")(handler)

    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        fetch(loopback(answer).url, total=1.5)
    assert time.monotonic() - began < 3.5


def test_silence_ends_at_the_read_deadline(loopback: Serve) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        fetch(loopback(lambda it: time.sleep(5.0)).url, read=0.2)
    assert time.monotonic() - began < 4


def test_an_error_of_the_reader_keeps_its_type(loopback: Serve) -> None:
    url = loopback(lambda it: reply(it, 200, b"x")).url

    def store() -> None:
        with LOCAL.get(url, max_bytes=ROOM, total_seconds=5) as page:
            for _ in page.chunks():
                raise httpx.ReadError("of another connection")

    with pytest.raises(httpx.ReadError):
        store()


def test_every_failure_has_a_code_of_its_own_and_no_address() -> None:
    failures: list[type[OutboundError]] = [*OutboundError.__subclasses__(), OutboundError]
    assert len({failure.code for failure in failures}) == len(failures)
    with pytest.raises(Unreachable) as caught:
        fetch("http://127.0.0.1:1/?code=hush")
    assert "hush" not in str(caught.value)
